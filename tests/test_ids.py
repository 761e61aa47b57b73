"""Ids and names: what may become a key, and what may not."""

import uuid

import pytest

from meta_core import ids
from meta_core.errors import NotFound

HOSTILE = [
    "",
    "..",
    "../x",
    "mdl_",
    "mdl_" + "g" * 32,
    "mdl_" + "0" * 33,
    "MDL_" + "0" * 32,
    "mdl_" + "0" * 32 + "\n",
    "a/b",
    "é",
]


def test_ids_sort_by_the_time_they_were_made() -> None:
    made = [ids.new_id("mdl") for _ in range(5)]
    assert all(ids.checked_id(id) == id for id in made)
    assert len(set(made)) == 5
    milliseconds = [int(id[4:16], 16) for id in made]
    assert milliseconds == sorted(milliseconds)


def test_ids_are_uuids_of_version_seven() -> None:
    value = uuid.UUID(ids.new_id("job")[4:])
    assert value.version == 7
    assert value.variant == uuid.RFC_4122


@pytest.mark.parametrize("text", HOSTILE)
def test_other_text_never_becomes_a_key(text: str) -> None:
    for key in (ids.order_key, ids.support_key, ids.result_key, ids.checkpoint_key):
        with pytest.raises(NotFound):
            key("default", text)
        with pytest.raises(NotFound):
            key(text + "/", ids.new_id("mdl"))


@pytest.mark.parametrize("text", ["", "..", "../x", "a/b", "a@0", "a@01", "a@1@2", "A", "a@", "@1", "a" * 64])
def test_other_text_is_no_reference(text: str) -> None:
    with pytest.raises(NotFound):
        ids.parse_reference(text)


def test_a_reference_is_a_name_with_or_without_version() -> None:
    assert ids.parse_reference("omniglot") == ("omniglot", None)
    assert ids.parse_reference("my-base_2@17") == ("my-base_2", 17)

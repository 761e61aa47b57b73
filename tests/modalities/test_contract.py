"""What every modality keeps to, unasked."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch

from meta_core.errors import InvalidExample, InvalidParameter
from meta_core.modality import Modality, build_modality, modalities
from tests.tones import tone, wav

GOOD: dict[str, list[Any]] = {
    "audio": [wav(tone(pitch)) for pitch in (300, 500, 700)],
    "image": [[[0, 255, 0]] * 3, [[9, 8, 7]] * 3, [[0, 0, 255]] * 3],
    "series": [[0, 1.5, None, 3, 2], [1, 2, 3], [5, 4, 3, 2.5, 2, 1, 0]],
    "table": [{"a": 1, "b": "x"}, {"a": 2.5, "b": None}, {"a": None, "b": "y"}],
    "text": ["Where is my parcel?", "né 北京 👩\u200d🚀", "a\r\nb"],
    "vector": [[1, 2.0], [3, 4], [5, 6]],
}
BAD: list[Any] = [
    *(None, True, "?", 7.5, "é" * 10, 10**400, object()),
    *([], [[]], [None], [math.nan], [[math.nan]], [[math.inf] * 3] * 3, [[1], [1, 2]], [10**400]),
    *({}, {"z": 1}, {"a": [], "b": 1}, {"a": math.nan, "b": 1}),
]


@pytest.fixture(params=list(modalities))
def modality(request: pytest.FixtureRequest) -> Modality:
    assert request.param in GOOD, "give every modality an example here"
    return build_modality(request.param, {})


def test_inputs_become_finite_floats_one_row_each(modality: Modality) -> None:
    inputs = GOOD[modality.name]
    x = modality.read(inputs, modality.describe(inputs))
    assert len(x) == len(inputs)
    assert x.dtype == (torch.uint8 if modality.name == "text" else torch.float32)
    assert x.isfinite().all()


def test_the_description_survives_json(modality: Modality) -> None:
    inputs = GOOD[modality.name]
    description = modality.describe(inputs)
    again = json.loads(json.dumps(description, allow_nan=False))
    assert torch.equal(modality.read(inputs, description), modality.read(inputs, again))


def test_an_input_is_read_alone_as_among_others(modality: Modality) -> None:
    inputs = GOOD[modality.name]
    description = modality.describe(inputs)
    assert torch.equal(modality.read(inputs, description)[1:2], modality.read(inputs[1:2], description))


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_bad_input_is_named_by_its_index(modality: Modality, bad: Any) -> None:
    good = GOOD[modality.name]
    description = modality.describe(good)
    if modality.name == "vector" and bad == 7.5:
        pytest.skip("a number is a vector of one")
    if modality.name == "text" and isinstance(bad, str):
        pytest.skip("any string with a letter in it is a text")
    with pytest.raises(InvalidExample) as caught:
        modality.read([good[0], good[1], bad], description)
    assert caught.value.index == 2


def test_an_unknown_setting_is_an_error_that_lists_the_known(modality: Modality) -> None:
    with pytest.raises(InvalidParameter, match="colour"):
        build_modality(modality.name, {"colour": 1})


@pytest.mark.parametrize("name", ["vector", "table"])
def test_dense_arrays_are_read_like_lists(name: str) -> None:
    array = np.random.default_rng(0).normal(size=(4, 3))
    modality = build_modality(name, {})
    rows: Any = array.tolist() if name == "vector" else [dict(zip("012", row, strict=True)) for row in array.tolist()]
    described, expected = modality.describe(rows), modality.describe(array)  # type: ignore[arg-type]
    assert torch.equal(modality.read(array, expected), modality.read(rows, described))  # type: ignore[arg-type]

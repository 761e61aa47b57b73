"""What tasks there are to gather experience on."""

import logging
from pathlib import Path

import pytest
import torch

from meta_core.catalogue import Catalogue
from meta_core.dataset import build_dataset
from meta_core.errors import InvalidTask, NotFound
from meta_core.past_tasks import Source, drawn, plain, sources
from meta_core.store import Store
from meta_core.types import Task


@pytest.fixture
def grades(tmp_path: Path) -> Path:
    """A folder of datasets with two tables whose last columns hold few values."""
    (tmp_path / "tables").mkdir()
    for name, values in (("wine", "567"), ("flowers", "abc")):
        rows = [f"{i},{values[i % 3]}" for i in range(30)]
        (tmp_path / "tables" / f"{name}.csv").write_text("\n".join(["alcohol,quality", *rows]))
    return tmp_path


def tasks_of(folder: Path, regressions: tuple[str, ...]) -> dict[str, Task]:
    catalogue = Catalogue(Store(str(folder / "store")))
    found = {source.dataset: source.tasks.task for source in sources(catalogue, folder, regressions)}
    return {name: found[name] for name in ("wine", "flowers")}


def test_few_numbers_are_classes_unless_the_table_is_named_as_a_regression(grades: Path) -> None:
    assert tasks_of(grades, ()) == {"wine": "classification", "flowers": "classification"}
    assert tasks_of(grades, ("wine",)) == {"wine": "regression", "flowers": "classification"}


def test_a_regression_is_a_table_at_hand_that_holds_numbers(grades: Path) -> None:
    with pytest.raises(NotFound, match="no table 'beer'; there are: flowers, wine"):
        tasks_of(grades, ("beer",))
    with pytest.raises(InvalidTask, match="table flowers is no regression: its last column holds 'a'"):
        tasks_of(grades, ("flowers",))


def test_it_is_said_where_nothing_can_be_drawn_and_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pairs = Source(
        "discriminants", plain("classification"), build_dataset("discriminants", tmp_path, {}).source("train")
    )
    told = []
    for seed in range(8):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            found = list(drawn(pairs, 2, torch.Generator().manual_seed(seed)))
        told.append(bool(found))
        assert [record.levelname for record in caplog.records] == ([] if found else ["WARNING"])
        assert found or ("discriminants: nothing is learned from it" in caplog.text and "set ways to 2" in caplog.text)
    assert set(told) == {True, False}


def test_of_no_tasks_none_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pairs = Source("mixtures", plain("classification"), build_dataset("mixtures", tmp_path, {}).source("train"))
    assert not list(drawn(pairs, 0, torch.Generator()))
    assert not caplog.records

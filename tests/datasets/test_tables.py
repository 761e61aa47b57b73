"""CSV tables."""

from pathlib import Path

import pytest
import torch

from meta_core.dataset import build_dataset
from meta_core.episodes import Size
from meta_core.errors import InvalidTask, NotFound

HEADER = "length,colour,kind\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [f"{i / 10},{'red' if i % 2 else ''},{'abc'[i % 3]}\n" for i in range(90)]
    (tmp_path / "mine.csv").write_text(HEADER + "".join(rows))
    return tmp_path


def test_episodes_are_described_by_their_support_set(folder: Path) -> None:
    source = build_dataset("tables", folder, {"path": "mine"}).source("test")
    episode = source.draw(Size(ways=10, shots=4, queries=3), torch.Generator().manual_seed(0))
    assert episode.support.ways == 3
    assert episode.support.x.shape[0] == 12
    assert episode.x.shape[0] == 9
    torch.testing.assert_close(episode.support.x[:, 0].mean(), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_columns_can_be_described_once_for_a_backbone_of_fixed_width(folder: Path) -> None:
    dataset = build_dataset("tables", folder, {"path": "mine", "describe": "train"})
    assert dataset.description() is not None
    assert dataset.source("train").shape == (3,)  # length, red, missing


def test_training_and_validation_share_no_row(folder: Path) -> None:
    dataset = build_dataset("tables", folder, {"path": "mine"})
    train, validation = (dataset.source(split).rows for split in ("train", "validation"))  # type: ignore[arg-type, attr-defined]
    assert not {row["length"] for row in train} & {row["length"] for row in validation}
    assert len(dataset.source("test").rows) == 90  # type: ignore[attr-defined]


def test_a_number_column_is_a_regression(folder: Path) -> None:
    config = {"path": "mine", "target": "length", "task": "regression"}
    episode = build_dataset("tables", folder, config).source("test").draw(Size(shots=8, queries=4), torch.Generator())
    assert episode.support.ways is None
    assert episode.support.y.shape == (8, 1)


def test_what_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(NotFound, match=r"nothing\.csv"):
        build_dataset("tables", folder, {"path": "nothing"}).source("test")
    with pytest.raises(NotFound, match="colour, kind, length"):
        build_dataset("tables", folder, {"path": "mine", "target": "weight"}).source("test")
    (folder / "empty.csv").write_text(HEADER)
    with pytest.raises(InvalidTask, match="no rows"):
        build_dataset("tables", folder, {"path": "empty"}).source("test")

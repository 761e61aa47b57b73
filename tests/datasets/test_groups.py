from pathlib import Path

import pytest
import torch

from meta_core.dataset import Split, build_dataset
from meta_core.datasets.groups import GroupSource
from meta_core.episodes import Size
from meta_core.errors import InvalidTask, NotFound


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [f"g{group},{day},{'a' if day % 2 else 'b'},{100 * group + day}" for group in range(12) for day in range(6)]
    (tmp_path / "people.csv").write_text("\n".join(["group,day,kind,score", *rows]))
    return tmp_path


def people(folder: Path, split: Split, **values: object) -> set[int]:
    source = build_dataset("groups", folder, {"path": "people", **values}).source(split)
    assert isinstance(source, GroupSource)
    return {int(y.min().item()) // 100 for _, y in source.groups}


def test_groups_are_divided_and_each_is_unseen_in_one_fold(folder: Path) -> None:
    unseen = [people(folder, "test", fold=fold) for fold in (0, 1, 2)]
    assert sorted(group for part in unseen for group in part) == list(range(12))
    train, validation = people(folder, "train"), people(folder, "validation")
    assert people(folder, "train+validation") == train | validation
    assert not train & validation
    assert not (train | validation) & unseen[0]


def test_an_episode_is_of_one_group_and_its_columns_are_not_the_group(folder: Path) -> None:
    source = build_dataset("groups", folder, {"path": "people"}).source("train")
    episode = source.draw(Size(shots=2, queries=9), torch.Generator().manual_seed(0))
    assert episode.support.x.shape == (2, 3)  # the day, and two kinds
    assert len(episode.y) == 4
    targets = torch.cat([episode.support.y, episode.y]).flatten()
    assert len({int(value) // 100 for value in targets.tolist()}) == 1
    assert len(targets.unique()) == 6


def test_what_cannot_be_drawn_is_said(folder: Path) -> None:
    source = build_dataset("groups", folder, {"path": "people"}).source("train")
    with pytest.raises(InvalidTask, match="the largest has 6"):
        source.draw(Size(shots=6, queries=1), torch.Generator())
    with pytest.raises(NotFound, match="column"):
        build_dataset("groups", folder, {"path": "people", "group": "who"}).source("train")
    with pytest.raises(InvalidTask, match="holds numbers"):
        build_dataset("groups", folder, {"path": "people", "target": "kind"}).source("train")

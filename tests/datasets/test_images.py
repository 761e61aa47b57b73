"""Folders of class folders."""

from pathlib import Path

import pytest
import torch

from meta_core.dataset import build_dataset
from meta_core.datasets.images import SHARES, share_of
from meta_core.episodes import Size
from meta_core.errors import InvalidParameter, InvalidTask, NotFound
from tests.drawings import FIGURES, draw


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(30):
        for copy in range(3):
            path = tmp_path / "mine" / f"class {number}" / f"{copy}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(FIGURES[number % 3], copy).save(path)
    (tmp_path / "mine" / ".hidden").mkdir()
    return tmp_path


def members(folder: Path, split: str) -> int:
    return len(build_dataset("images", folder, {"path": "mine"}).source(split).members)  # type: ignore[arg-type, attr-defined]


def test_the_splits_share_no_class_and_leave_none_out(folder: Path) -> None:
    parts = [members(folder, split) for split in ("train", "validation", "test")]
    assert sum(parts) == 30
    assert members(folder, "train+validation") == parts[0] + parts[1]


def test_images_are_read_as_the_base_model_will_read_them(folder: Path) -> None:
    config = {"path": "mine", "framing": "drawing", "channels": 1, "size": 20}
    episode = build_dataset("images", folder, config).source("train").draw(Size(ways=2, queries=1), torch.Generator())
    assert episode.support.x.shape == (2, 1, 20, 20)
    assert episode.x.amax((1, 2, 3)).tolist() == [1, 1]


def test_a_bad_file_is_named(folder: Path) -> None:
    (bad,) = (folder / "mine" / "class 1").glob("1.png")
    bad.write_bytes(b"no image")
    split = next(name for name, (low, high) in SHARES.items() if low <= share_of("class 1") < high)
    with pytest.raises(InvalidTask, match=r"class 1/1\.png"):
        members(folder, split)


def test_only_plain_names_are_taken(folder: Path) -> None:
    with pytest.raises(InvalidParameter, match="path"):
        build_dataset("images", folder, {"path": "../mine"})
    with pytest.raises(NotFound, match="nothing"):
        build_dataset("images", folder, {"path": "nothing"}).source("train")

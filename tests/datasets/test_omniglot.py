"""Omniglot from the official archives and from the packed files: the same drawings, the same split."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from meta_core.dataset import build_dataset
from meta_core.datasets.omniglot import official_drawings
from meta_core.episodes import Size

SPLITS = {"train": [1, 2], "val": [3], "test": [4, 5]}


@pytest.fixture
def inks() -> dict[tuple[int, int], np.ndarray]:
    """Five characters of twenty drawings each, a blot at a random place."""
    rng = np.random.default_rng(0)
    drawings = {}
    for character in range(1, 6):
        for drawer in range(1, 21):
            ink = np.zeros((105, 105), np.uint8)
            top, left = rng.integers(10, 50, 2)
            ink[top : top + 10 * character, left : left + 30] = 1
            drawings[character, drawer] = ink
    return drawings


@pytest.fixture
def official(tmp_path: Path, inks: dict[tuple[int, int], np.ndarray]) -> Path:
    """A folder as the downloads leave it."""
    folder = tmp_path / "official"
    folder.mkdir()
    for archive, part in (("images_background", (1, 2, 3)), ("images_evaluation", (4, 5))):
        with zipfile.ZipFile(folder / f"{archive}.zip", "w") as file:
            for (character, drawer), ink in inks.items():
                if character in part:
                    name = f"{archive}/Own/character{character:02d}/{character:04d}_{drawer:02d}.png"
                    file.writestr(name, _png(ink))
    for split, characters in SPLITS.items():
        lines = [
            f"Own/character{character:02d}/rot{turn:03d}" for character in characters for turn in (0, 90, 180, 270)
        ]
        (folder / f"{split}.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def packed(tmp_path: Path, inks: dict[tuple[int, int], np.ndarray]) -> Path:
    folder = tmp_path / "packed"
    folder.mkdir()
    part_of = {character: split for split, characters in SPLITS.items() for character in characters}
    with (folder / "classes.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["char_id", "vinyals_split"])
        rows.writerows(part_of.items())
    for name, part in (("omniglot105_background", (1, 2, 3)), ("omniglot105_evaluation", (4, 5))):
        chosen = [(character, drawer, ink) for (character, drawer), ink in inks.items() if character in part]
        np.savez(
            folder / f"{name}.npz",
            packed=np.stack([np.packbits(ink.ravel()) for _, _, ink in chosen]),
            char_id=np.array([character for character, _, _ in chosen]),
            drawer=np.array([drawer for _, drawer, _ in chosen]),
        )
    return folder


def _png(ink: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(255 * (1 - ink)).convert("1").save(buffer, "PNG")
    return buffer.getvalue()


def test_the_archives_hold_every_drawing_of_its_split(official: Path, inks: dict[tuple[int, int], np.ndarray]) -> None:
    found = {(character, drawer): (part, ink) for character, drawer, part, ink in official_drawings(official)}
    assert found.keys() == inks.keys()
    assert all(np.array_equal(found[key][1], inks[key]) for key in inks)
    assert {part for (character, _), (part, _) in found.items() if character == 3} == {"val"}


@pytest.mark.parametrize(
    ("split", "characters"), [("train", 2), ("validation", 1), ("train+validation", 3), ("test", 2)]
)
def test_both_forms_give_the_same_tasks(official: Path, packed: Path, split: str, characters: int) -> None:
    sources = [build_dataset("omniglot", folder, {}).source(split) for folder in (official, packed)]  # type: ignore[arg-type]
    assert torch.equal(sources[0].x, sources[1].x)  # type: ignore[attr-defined]
    assert len(sources[0].members) == 4 * characters  # type: ignore[attr-defined]
    size = Size(ways=4, shots=1, queries=2)
    first, second = (source.draw(size, torch.Generator().manual_seed(0)) for source in sources)
    assert torch.equal(first.support.x, second.support.x)
    assert first.support.x.shape == (4, 1, 28, 28)
    assert 0 <= first.x.min() < first.x.max() <= 1


def test_the_real_split_has_the_published_size(shared_data: Path) -> None:
    source = build_dataset("omniglot", shared_data / "omniglot", {"rotations": False}).source("validation")
    assert len(source.members) == 172  # type: ignore[attr-defined]
    assert all(len(members) == 20 for members in source.members)  # type: ignore[attr-defined]

"""Omniglot: 1,623 handwritten characters of 50 alphabets, each drawn by 20 people."""

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from meta_core.augment import small_affine
from meta_core.config import Config
from meta_core.dataset import Dataset, Split, datasets
from meta_core.download import fetch
from meta_core.drawing import frame_drawing
from meta_core.episodes import ClassSource
from meta_core.errors import NotFound

ARCHIVES = {
    "images_background.zip": (
        "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/images_background.zip",
        "md5:68d2efa1b9178cc56df9314c21c6e718",
    ),
    "images_evaluation.zip": (
        "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/images_evaluation.zip",
        "md5:6b91aef0f799c5bb55b94e3f2daec811",
    ),
}
_SPLITS = "https://raw.githubusercontent.com/jakesnell/prototypical-networks/c9bb4d258267c11cb6e23f0a19242d24ca98ad8a/data/omniglot/splits/vinyals"
SPLIT_FILES = {
    "train.txt": (f"{_SPLITS}/train.txt", "sha256:984522c194c30fb678ce53304a160a42faf5403ad4f9a67010f32dd3a35738e0"),
    "val.txt": (f"{_SPLITS}/val.txt", "sha256:11f99e54faee3e26f53d3231c1cceac5bf7b8730e9be31cb6dab256551dc0c1a"),
    "test.txt": (f"{_SPLITS}/test.txt", "sha256:845264cc5c156180828ccf17915668b17ee21424d0170df6e7d81676aa5d1204"),
}
PARTS = {"train": ("train",), "validation": ("val",), "train+validation": ("train", "val"), "test": ("test",)}
BACKGROUND = 964
"""The official numbers of the characters of the 30 background alphabets go from 1 to this."""
QUARTER_TURNS = 10_000
"""Offset between the class numbers of a character and of its rotation by 90°."""

Drawing = tuple[int, int, str, npt.NDArray[np.uint8]]
"""Character number, drawer, part of the split, ink [105, 105]."""


class OmniglotConfig(Config):
    """Which characters are for what, size of the framed drawings, and whether rotations count as classes."""

    split: Literal["vinyals", "background"] = Field(
        "vinyals", description="background: trained on the 30 background alphabets alone, tested on the other 20"
    )

    size: int = Field(28, ge=16, le=105)
    rotations: bool = Field(True, description="a character turned by 90°, 180° and 270° is three more classes")


@datasets.register("omniglot")
class Omniglot(Dataset):
    """The split of Vinyals et al. (2016, arXiv:1606.04080): 1,028 / 172 / 423 characters (Lake et al., 2015).

    That split mixes the alphabets; `background` is the one of Lake et al., with every tenth background character for
    validation.

    Reads `omniglot105_*.npz` with `classes.csv` where the folder holds them, else the official archives, which are
    downloaded on first use. Every drawing is framed as the service frames those of its users.
    """

    Config = OmniglotConfig
    config: OmniglotConfig
    modality = "image"

    def preprocessing(self) -> dict[str, Any]:
        """One channel, framed drawings."""
        return {"size": self.config.size, "channels": 1, "framing": "drawing"}

    def example_shape(self) -> tuple[int, ...]:
        """Channels, height, width."""
        return (1, self.config.size, self.config.size)

    def source(self, split: Split, *, augmented: bool = False) -> ClassSource:
        """Characters of one split."""
        chosen = sorted((c, d, ink) for c, d, part, ink in self._drawings() if part in PARTS[split])
        framed = [_framed(ink, self.config.size) for _, _, ink in chosen]
        x = torch.from_numpy(np.stack(framed))[:, None]  # [M, 1, size, size], uint8
        y = torch.tensor([character for character, _, _ in chosen])
        if self.config.rotations:
            x, y = _rotated(x, y)
        return ClassSource(x, y, small_affine if augmented else None)

    def _drawings(self) -> Iterator[Drawing]:
        if (self.folder / "classes.csv").exists():
            drawings = _packed_drawings(self.folder)
        else:
            for name, (url, checksum) in {**ARCHIVES, **SPLIT_FILES}.items():
                fetch(url, self.folder / name, checksum, self.fetching)
            drawings = official_drawings(self.folder)
        if self.config.split == "vinyals":
            return drawings
        return ((character, drawer, _lake_part(character), ink) for character, drawer, _, ink in drawings)


def _lake_part(character: int) -> str:
    if character > BACKGROUND:
        return "test"
    return "train" if character % 10 else "val"


def _framed(ink: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    framed = frame_drawing(ink.astype(np.float32), size)
    assert framed is not None, "Omniglot has no blank drawing"
    return (framed * 255).round().astype(np.uint8)


def _rotated(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    turned = [torch.rot90(x, turns, (2, 3)) for turns in range(4)]
    return torch.cat(turned), torch.cat([y + QUARTER_TURNS * turns for turns in range(4)])


def _packed_drawings(folder: Path) -> Iterator[Drawing]:
    with (folder / "classes.csv").open(newline="") as file:
        part_of = {int(row["char_id"]): row["vinyals_split"] for row in csv.DictReader(file)}
    for name in ("omniglot105_background.npz", "omniglot105_evaluation.npz"):
        with np.load(folder / name, allow_pickle=False) as arrays:
            packed, characters, drawers = arrays["packed"], arrays["char_id"], arrays["drawer"]
        inks = np.unpackbits(packed, axis=1, count=105 * 105).reshape(-1, 105, 105)
        for character, drawer, ink in zip(characters.tolist(), drawers.tolist(), inks, strict=True):
            yield character, drawer, part_of[character], ink


def official_drawings(folder: Path) -> Iterator[Drawing]:
    """Drawings of the official archives in `folder`, with the published lists of the Vinyals split beside them."""
    part_of = {}
    for part in ("train", "val", "test"):
        for line in (folder / f"{part}.txt").read_text().split():
            part_of[line.rsplit("/", 1)[0]] = part
    for archive in ARCHIVES:
        with zipfile.ZipFile(folder / archive) as file:
            for name in file.namelist():
                if found := re.fullmatch(r"[^/]+/([^/]+/character\d+)/(\d+)_(\d+)\.png", name):
                    with Image.open(io.BytesIO(file.read(name))) as image:
                        ink = 1 - np.asarray(image.convert("1"), np.uint8)
                    if found[1] not in part_of:
                        raise NotFound(f"{found[1]} of {archive} is in no list of the Vinyals split")
                    yield int(found[2]), int(found[3]), part_of[found[1]], ink

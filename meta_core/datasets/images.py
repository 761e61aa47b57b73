"""Any folder of class folders of images."""

import hashlib
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from meta_core.augment import changes_for
from meta_core.config import Config
from meta_core.dataset import Dataset, Split, datasets
from meta_core.episodes import ClassSource
from meta_core.errors import InvalidExample, InvalidTask, NotFound
from meta_core.modality import build_modality

SHARES = {"train": (0.0, 0.64), "validation": (0.64, 0.8), "train+validation": (0.0, 0.8), "test": (0.8, 1.0)}


class ImagesConfig(Config):
    """Which folder, and how its images are made alike."""

    path: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the folder of class folders")
    size: int = Field(28, ge=16, le=1024)
    channels: Literal[1, 3] = 3
    framing: Literal["stretch", "crop", "drawing"] = "stretch"
    crop: float = Field(1.0, gt=0, le=1, description="of framing `crop`: side of the square, of the shorter side")


@datasets.register("images")
class Images(Dataset):
    """`<datasets>/images/<path>/<class>/<file>`: each subfolder is a class, each file in it one example.

    Classes go to train, validation and test by a hash of their names, 64 / 16 / 20 %, so that adding a class moves
    none of the others.
    """

    Config = ImagesConfig
    config: ImagesConfig
    modality = "image"

    def preprocessing(self) -> dict[str, Any]:
        """As configured."""
        return {name: getattr(self.config, name) for name in ("size", "channels", "framing", "crop")}

    def example_shape(self) -> tuple[int, ...]:
        """Channels, height, width."""
        return (self.config.channels, self.config.size, self.config.size)

    def source(self, split: Split, *, augmented: bool = False) -> ClassSource:
        """Classes of one split, read and framed as the service will read its users' images."""
        low, high = SHARES[split]
        classes = [folder for folder in self._class_folders() if low <= share_of(folder.name) < high]
        if len(classes) < 2:
            raise InvalidTask(f"the {split} part of {self.config.path} has {len(classes)} classes; it needs at least 2")
        images = [self._read(folder) for folder in classes]
        y = torch.cat([torch.full((len(x),), index) for index, x in enumerate(images)])
        return ClassSource(torch.cat(images), y, changes_for(self.config.framing) if augmented else None)

    def _root(self) -> Path:
        return self.folder / self.config.path

    def _class_folders(self) -> list[Path]:
        if not self._root().is_dir():
            raise NotFound(f"there is no folder {self.config.path} among the images")
        return sorted(path for path in self._root().iterdir() if path.is_dir() and not path.name.startswith("."))

    def _read(self, folder: Path) -> Tensor:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        reader = build_modality(self.modality, self.preprocessing())
        try:
            x = reader.read([path.read_bytes() for path in files], {})  # [M, channels, size, size]
        except InvalidExample as error:
            raise InvalidTask(f"{folder.name}/{files[error.index].name}: {error.detail}") from None
        return (x * 255).round().to(torch.uint8)


def share_of(name: str) -> float:
    """Where between 0 and 1 a name falls, evenly."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64

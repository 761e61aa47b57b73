"""Any folder of class folders of recordings."""

from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from meta_core.augment_sound import other_voice
from meta_core.config import Config
from meta_core.dataset import Dataset, Split, datasets
from meta_core.datasets.images import SHARES, share_of
from meta_core.episodes import ClassSource, Size, TaskSource
from meta_core.errors import InvalidExample, InvalidTask, NotFound
from meta_core.limits import Limits
from meta_core.modalities.audio import AudioConfig, AudioModality
from meta_core.modality import build_modality
from meta_core.types import Episode, Task


class AudioFoldersConfig(Config):
    """Which folder, who is kept apart, and how its recordings are made alike."""

    path: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the folder of class folders")
    grouped: bool = Field(
        False, description="there is a folder for each speaker, device or site, with class folders in it"
    )
    held_out: list[str] | None = Field(
        None, description="names of the groups of the test part; null: by a hash of their names (grouped only)"
    )
    rate: int = Field(16_000, ge=4_000, le=48_000)
    seconds: float = Field(1.0, gt=0.05, le=60)
    mels: int = Field(40, ge=16, le=256)


@datasets.register("audio")
class AudioFolders(Dataset):
    """`<datasets>/audio/<path>/<class>/<file>`, or `…/<path>/<group>/<class>/<file>` when `grouped`.

    Classes go to train, validation and test by a hash of their names, 64 / 16 / 20 %. Grouped, the groups do instead,
    all parts have all classes, and each task is of one group: a new speaker, not new words.
    """

    Config = AudioFoldersConfig
    config: AudioFoldersConfig
    modality = "audio"

    def preprocessing(self) -> dict[str, Any]:
        """As configured."""
        return {"rate": self.config.rate, "seconds": self.config.seconds, "mels": self.config.mels}

    def example_shape(self) -> tuple[int, ...]:
        """1, mels, frames."""
        return AudioModality(AudioConfig(**self.preprocessing()), Limits()).shape

    def source(self, split: Split, *, augmented: bool = False) -> TaskSource:
        """Tasks of one part, read as the service will read its users' recordings."""
        root = self.folder / self.config.path
        if not root.is_dir():
            raise NotFound(f"there is no folder {self.config.path} among the recordings")
        chosen = [folder for folder in _folders(root) if self._is_in(split, folder.name)]
        if not self.config.grouped:
            return self._classes(chosen, split, augmented)
        if not chosen:
            raise InvalidTask(f"the {split} part of {self.config.path} has no groups")
        return GroupSource([self._classes(_folders(group), split, augmented) for group in chosen])

    def _is_in(self, split: Split, name: str) -> bool:
        low, high = SHARES[split]
        if not self.config.grouped or self.config.held_out is None:
            return low <= share_of(name) < high
        if split == "test" or name in self.config.held_out:
            return split == "test" and name in self.config.held_out
        return split == "train+validation" or (share_of(name) < SHARES["train"][1]) == (split == "train")

    def _classes(self, folders: list[Path], split: Split, augmented: bool) -> ClassSource:
        if len(folders) < 2:
            raise InvalidTask(f"the {split} part of {self.config.path} has {len(folders)} classes; it needs at least 2")
        recordings = [self._read(folder) for folder in folders]
        y = torch.cat([torch.full((len(x),), index) for index, x in enumerate(recordings)])
        return ClassSource(torch.cat(recordings), y, other_voice if augmented else None)

    def _read(self, folder: Path) -> Tensor:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        reader = build_modality(self.modality, self.preprocessing())
        try:
            x = reader.read([path.read_bytes() for path in files], {})  # [M, 1, mels, frames]
        except InvalidExample as error:
            raise InvalidTask(f"{folder.name}/{files[error.index].name}: {error.detail}") from None
        return (x * 255).round().to(torch.uint8)  # steps of 0.3 dB


class GroupSource(TaskSource):
    """Tasks that are each of one group, drawn uniformly."""

    task: Task = "classification"

    def __init__(self, groups: list[ClassSource]) -> None:
        self.groups = groups
        self.shape = groups[0].shape

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        """An episode of one group."""
        return self.groups[int(torch.randint(len(self.groups), (), generator=rng))].draw(size, rng)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))

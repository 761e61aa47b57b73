"""Datasets of the store, which somebody uploaded."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from meta_core.augment import changes_for
from meta_core.config import Config
from meta_core.dataset import Dataset, Split, datasets
from meta_core.download import Report, silent
from meta_core.episodes import Augment, ClassSource, Size, TaskSource, draw_members, split_episode
from meta_core.errors import InvalidTask, NotFound
from meta_core.format import Format, Reading, open_format
from meta_core.labels import class_name
from meta_core.limits import Limits
from meta_core.modality import Description, build_modality
from meta_core.types import Episode, Support, Task

FEWEST_CLASSES = 6
"""With fewer, three parts of two classes each cannot be made: examples are divided instead of classes."""
DESCRIBED_BY = 5000
"""Training examples by which the columns of a table are described."""
TOGETHER = 64


class UploadedConfig(Config):
    """Which dataset, and how it is divided and read; what the dataset says of itself is filled in."""

    id: str = Field(description="dst_…, of POST /datasets")
    split: Literal["auto", "classes", "examples"] = Field(
        "auto", description="what train, validation and test share none of; auto: classes, where there are enough"
    )
    seed: int = Field(0, ge=0, description="which classes or examples go where")
    preprocessing: dict[str, Any] = Field(default_factory=dict, description="config of the modality: size, channels, …")
    modality: str = Field("vector", description="filled in")
    task: Task = Field("classification", description="filled in")
    format: str | None = Field(None, description="filled in")
    target: str | None = Field(None, description="filled in")
    shape: tuple[int, ...] = Field((), description="filled in")
    sha256: str | None = Field(None, description="filled in: what exactly it was made from")


@datasets.register("uploaded")
class Uploaded(Dataset):
    """A dataset of `POST /datasets`, drawn into train, validation and test (64 / 16 / 20 %) by its seed.

    Classes are divided, or examples where there are few classes, in tables and in regression.
    """

    Config = UploadedConfig
    config: UploadedConfig

    def __init__(self, folder: Path, config: UploadedConfig, fetching: Report = silent) -> None:
        super().__init__(folder, config, fetching)
        self.modality = config.modality
        self._reader = build_modality(config.modality, config.preprocessing, _UNBOUNDED)
        self._description: Description | None = None
        self._members: dict[str, list[int]] = {}

    def preprocessing(self) -> dict[str, Any]:
        """As configured."""
        return self._reader.config.model_dump(mode="json")

    def task(self) -> Task:
        """What the labels are."""
        return self.config.task

    def example_shape(self) -> tuple[int, ...] | None:
        """That of the dataset, as the preprocessing makes it."""
        return self._reader.shape_like(self.config.shape)

    def description(self) -> Description | None:
        """That of the training examples."""
        if self._description is None:
            chosen = itertools.islice(self.examples("train"), DESCRIBED_BY)
            self._description = self._reader.describe([value for value, _ in chosen])
        return self._description

    def source(self, split: Split, *, augmented: bool = False) -> TaskSource:
        """Examples of one part, read as the service will read its users' inputs."""
        inputs, labels, x = self.examples(split), [], []
        while batch := list(itertools.islice(inputs, TOGETHER)):
            x.append(self._tensor([value for value, _ in batch]))
            labels += [label for _, label in batch]
        if not labels:
            raise InvalidTask(f"the {split} part of {self.config.id} is empty")
        if self.config.task == "regression":
            return PointSource(torch.cat(x), torch.tensor([[float(label)] for label in labels]))
        names = sorted({class_name(label) for label in labels})
        index = {name: position for position, name in enumerate(names)}
        y = torch.tensor([index[class_name(label)] for label in labels])
        images = augmented and self.modality == "image"
        augment = changes_for(self.preprocessing()["framing"]) if images else None
        return NamedClasses(torch.cat(x), y, names, augment, fewer=not self._divides_classes())

    def describe_by(self, description: Description) -> None:
        """Read the inputs as a base model does that was trained on others."""
        self._description = description

    def examples(self, split: Split | None) -> Iterator[tuple[Any, Any]]:
        """Inputs and labels of one part, or of all, as they were sent."""
        wanted = None if split is None else self._parts(split)
        for position, example in enumerate(self._all()):
            if wanted is None or (class_name(example.label) if self._divides_classes() else position) in wanted:
                yield example.input, example.label

    def _tensor(self, inputs: list[Any]) -> Tensor:
        x = self._reader.read(inputs, self.description() or {})
        return (x * 255).round().to(torch.uint8) if self.modality == "image" else x.float()

    def _all(self) -> Format:
        path = self.folder / self.config.id
        if not path.exists():
            raise NotFound(f"there is no dataset {self.config.id}")
        reading = Reading(modality=self.config.modality, target=self.config.target)
        return open_format(path, self.config.format, reading, _UNBOUNDED)

    def _divides_classes(self) -> bool:
        if self.config.split != "auto":
            return self.config.split == "classes"
        few = len(self._classes()) < FEWEST_CLASSES
        return self.config.task == "classification" and self.modality != "table" and not few

    def _classes(self) -> dict[str, list[int]]:
        """Positions of the examples of each class; of a regression, of all examples."""
        if not self._members:
            for position, example in enumerate(self._all()):
                name = class_name(example.label) if self.config.task == "classification" else ""
                self._members.setdefault(name, []).append(position)
        return self._members

    def _parts(self, split: Split) -> set[str] | set[int]:
        """Names of the classes, or positions of the examples, of one part."""
        rng = torch.Generator().manual_seed(self.config.seed)
        classes = self._classes()
        if self._divides_classes():
            names = sorted(classes)
            return {names[i] for i in _drawn(len(names), split, rng)}
        return {classes[name][i] for name in sorted(classes) for i in _drawn(len(classes[name]), split, rng)}


class NamedClasses(ClassSource):
    """Labelled examples whose classes have names; where all are in each part, an episode takes as many as there are."""

    def __init__(self, x: Tensor, y: Tensor, names: list[str], augment: Augment | None, *, fewer: bool) -> None:
        super().__init__(x, y, augment)
        self.y = y
        self.names = names
        self.fewer = fewer

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        """As any source of classes does; it also tells which classes they are."""
        ways = min(size.ways, len(self.members)) if self.fewer else size.ways
        size = Size(ways=ways, shots=size.shots, queries=size.queries)
        chosen = draw_members(self.members, size, rng)
        return replace(split_episode(self.read(chosen.flatten(), rng), chosen, size), members=self.y[chosen[:, 0]])


class PointSource(TaskSource):
    """Regression episodes from examples `x` [M, *shape] with targets `y` [M, T]."""

    task: Task = "regression"

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x = x
        self.y = y
        self.shape = tuple(x.shape[1:])

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        """`shots` examples to learn from and `queries` to be graded on."""
        needed = size.shots + size.queries
        if len(self.x) < needed:
            raise InvalidTask(f"{needed} examples are needed for an episode; there are {len(self.x)}")
        chosen = torch.randperm(len(self.x), generator=rng)[:needed]
        learned, graded = chosen[: size.shots], chosen[size.shots :]
        return Episode(Support(self.x[learned], self.y[learned], None), self.x[graded], self.y[graded])


def _drawn(count: int, split: Split, rng: torch.Generator) -> list[int]:
    """Positions below `count` that go to one part, at least two to each where there are enough."""
    order: list[int] = torch.randperm(count, generator=rng).tolist()
    held_out = [max(min(2, count // 3), round(share * count)) for share in (0.16, 0.2)]
    first = count - sum(held_out)
    second = count - held_out[1]
    bounds = {"train": (0, first), "validation": (first, second), "train+validation": (0, second)}
    low, high = bounds.get(split, (second, count))
    return order[low:high]


_UNBOUNDED = Limits(
    **dict.fromkeys((name for name in vars(Limits()) if name not in ("max_pixels", "max_dataset_ratio")), 1 << 62),
    max_dataset_ratio=1 << 62,
)
"""What was checked when it was sent needs no bound any more."""

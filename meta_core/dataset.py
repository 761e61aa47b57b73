"""The contract of a dataset: where the tasks of meta-training and evaluation come from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from meta_core.config import Config as AnyConfig
from meta_core.download import Report, silent
from meta_core.episodes import TaskSource
from meta_core.modality import Description
from meta_core.registry import Registry
from meta_core.types import Task

Split = Literal["train", "validation", "train+validation", "test"]


class Dataset(ABC):
    """Tasks in three parts that share no class: to train on, to choose by, and to report.

    `folder` is where a dataset keeps or finds its files; `fetching` is told how far a download is.
    """

    name: ClassVar[str]
    Config: ClassVar[type[AnyConfig]] = AnyConfig
    modality: str
    """The modality whose tensors its tasks hold."""

    def __init__(self, folder: Path, config: AnyConfig, fetching: Report = silent) -> None:
        self.folder = folder
        self.config = config
        self.fetching = fetching

    def preprocessing(self) -> dict[str, Any]:
        """Config of the modality with which a base model trained here must read its inputs."""
        return {}

    def task(self) -> Task:
        """What kind of task it holds."""
        return "classification"

    def example_shape(self) -> tuple[int, ...] | None:
        """Shape of one input, where it is known before any file is read."""
        return None

    def description(self) -> Description | None:
        """What every task's inputs are read by, where it does not come from each support set."""
        return None

    @abstractmethod
    def source(self, split: Split, *, augmented: bool = False) -> TaskSource:
        """The tasks of one part; `augmented` with the small random changes that help training."""


datasets: Registry[type[Dataset]] = Registry("dataset", "meta_core.datasets")


def build_dataset(name: str, folder: Path, values: Mapping[str, Any], fetching: Report = silent) -> Dataset:
    """A dataset by name. Raises `NotFound` or `InvalidParameter`."""
    cls = datasets[name]
    return cls(folder, cls.Config.parse(values, f"dataset {name}"), fetching)

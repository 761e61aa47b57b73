"""The contract of a modality: JSON values or bytes to tensors."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from meta_core.config import Config as AnyConfig
from meta_core.limits import Limits
from meta_core.registry import Registry

Description = dict[str, Any]
"""What must be remembered of a support set to read its queries in the same way; plain JSON."""


class Modality(ABC):
    """Turns inputs as people send them into tensors; its config is kept in the header of a base model."""

    name: ClassVar[str]
    Config: ClassVar[type[AnyConfig]] = AnyConfig
    example: ClassVar[Any]
    """One input, as it would stand in a request."""

    def __init__(self, config: AnyConfig, limits: Limits) -> None:
        self.config = config
        self.limits = limits

    @abstractmethod
    def describe(self, inputs: Sequence[Any]) -> Description:
        """What these support inputs fix for all later ones (columns, sizes). Raises `InvalidExample`."""

    @abstractmethod
    def read(self, inputs: Sequence[Any], description: Description) -> Tensor:
        """Inputs as a tensor [N, *shape]: float32, or uint8 for the bytes of texts.

        Raises `InvalidExample` naming the first bad one.
        """


modalities: Registry[type[Modality]] = Registry("modality", "meta_core.modalities")


def build_modality(name: str, values: Mapping[str, Any], limits: Limits | None = None) -> Modality:
    """A modality by name. Raises `NotFound` or `InvalidParameter`."""
    cls = modalities[name]
    return cls(cls.Config.parse(values, f"modality {name}"), limits or Limits())

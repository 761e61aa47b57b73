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

Shape = tuple[int, ...]
"""Of one input as a tensor."""


class Modality(ABC):
    """Turns inputs as people send them into tensors; its config is kept in the header of a base model."""

    name: ClassVar[str]
    Config: ClassVar[type[AnyConfig]] = AnyConfig
    example: ClassVar[Any]
    """One input, as it would stand in a request."""
    backbone: ClassVar[str] = "mlp"
    """What is meta-trained on such inputs where no backbone is named."""

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

    def recover(self, x: Tensor) -> Sequence[Any] | None:
        """Inputs that are read as `x` [N, *shape] and tell all that was sent; None where reading loses some of it."""
        return None

    def shape_like(self, usual: Shape) -> Shape | None:
        """Shape of inputs that the usual settings read as `usual`; None where only the inputs themselves tell."""
        return usual if self.config == self.Config() else None

    def joined(self, one: Shape, other: Shape) -> Shape | None:
        """Shape of the inputs of a dataset, parts of which are read as these two; None if they do not go together."""
        return one if one == other else None


modalities: Registry[type[Modality]] = Registry("modality", "meta_core.modalities")


def build_modality(name: str, values: Mapping[str, Any], limits: Limits | None = None) -> Modality:
    """A modality by name. Raises `NotFound` or `InvalidParameter`."""
    cls = modalities[name]
    return cls(cls.Config.parse(values, f"modality {name}"), limits or Limits())

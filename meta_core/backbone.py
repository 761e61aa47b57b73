"""The contract of a backbone: a network from inputs to embeddings."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from meta_core.config import Config as AnyConfig
from meta_core.registry import Registry

Normalisation = Literal["none", "running", "fixed", "group", "support"]


class Backbone(nn.Module, ABC):
    """Maps [N, *shape] to [N, dimension], each row by itself when in `eval` mode.

    `normalisation` declares the policy: `running` keeps the statistics of meta-training (the body must then stay
    as it is), `fixed` takes them as constants even in meta-training (so the body may change), `group` normalises within
    one example, `support` by the support set of each task, whose statistics the learner keeps in its state
    (`body_part.statistics`), `none` does nothing. Query statistics are never used.
    """

    name: ClassVar[str]
    linear: ClassVar[bool] = False
    """Whether all its arithmetic is products of matrices, as in linear layers."""
    half_precision: bool = False
    """Whether it multiplies in bfloat16; what comes out is in the precision of what went in."""
    Config: ClassVar[type[AnyConfig]] = AnyConfig
    config: AnyConfig
    dimension: int

    def __init__(self, shape: tuple[int, ...], config: AnyConfig) -> None:
        super().__init__()
        self.shape = shape
        self.config = config

    def __call__(self, x: Tensor) -> Tensor:
        """Embeddings [N, D] of inputs [N, *shape], in their precision."""
        if not self.half_precision:
            z: Tensor = super().__call__(x)
            return z
        with torch.autocast(x.device.type, torch.bfloat16):
            return super().__call__(x).to(x.dtype)  # type: ignore[no-any-return]

    @property
    @abstractmethod
    def normalisation(self) -> Normalisation:
        """The normalisation policy of this instance."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Embeddings [N, D] of inputs [N, *shape]."""

    def before_last(self, x: Tensor) -> Tensor:
        """What the last block is given, [N, ...], for inputs [N, *shape]; the inputs where there is but one block."""
        return x

    def last(self, h: Tensor) -> Tensor:
        """Embeddings [N, D] of what `before_last` made."""
        return self(h)

    def last_weights(self) -> list[str]:
        """Names of the weights of the last block."""
        names = [name for name, _ in self.named_parameters()]
        block = names[-1].split(".")[: 2 if names[-1].count(".") > 1 else 1] if names else []
        return [name for name in names if name.split(".")[: len(block)] == block]

    def all_weights(self) -> list[str]:
        """Names of all weights that may move."""
        return [name for name, _ in self.named_parameters()]

    @classmethod
    def reads(cls, config: AnyConfig) -> dict[str, Any]:
        """Settings of the modality that suit it best, where it has such; any others that it takes do too."""
        return {}

    def inference(self) -> "Backbone":
        """The same map in a form that only answers, faster where there is one; the weights as they are now."""
        return self


@contextlib.contextmanager
def half_precision(backbone: Backbone, wanted: bool) -> Iterator[None]:
    """Let a backbone multiply in bfloat16 for a while, if that is wanted."""
    backbone.half_precision = wanted
    try:
        yield
    finally:
        backbone.half_precision = False


backbones: Registry[type[Backbone]] = Registry("backbone", "meta_core.backbones")


def build_backbone(name: str, shape: tuple[int, ...], values: Mapping[str, Any]) -> Backbone:
    """A backbone by name for inputs of one shape; `family/model` names a model of a library.

    Raises `NotFound` or `InvalidParameter`.
    """
    family, _, model = name.partition("/")
    cls = backbones[family]
    return cls(shape, cls.Config.parse({**values, **({"model": model} if model else {})}, f"backbone {name}"))

"""Which part of a body a learner moves, and how that part is run with weights of its own."""

from typing import Literal

from torch import Tensor, nn
from torch.func import functional_call

from meta_core.backbone import Backbone
from meta_core.types import State

Part = Literal["frozen", "last", "all"]


def moving(backbone: Backbone, part: Part) -> list[str]:
    """Names of the weights that may move."""
    if part == "frozen":
        return []
    return backbone.last_weights() if part == "last" else [name for name, _ in backbone.named_parameters()]


def before(backbone: Backbone, part: Part, x: Tensor) -> Tensor:
    """Inputs [N, *shape] as far as nothing moves: [N, ...], embeddings [N, D] where nothing does."""
    if part == "frozen":
        return backbone(x)
    return backbone.before_last(x) if part == "last" else x


def finished(backbone: Backbone, part: Part, h: Tensor, weights: State) -> Tensor:
    """Embeddings [N, D] of what `before` made, by these weights in the place of the body's own."""
    if part == "frozen":
        return h
    module = _Last(backbone) if part == "last" else _Whole(backbone)
    z: Tensor = functional_call(module, {f"body.{name}": value for name, value in weights.items()}, (h,))
    return z  # [N, D]


class _Whole(nn.Module):
    def __init__(self, body: Backbone) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class _Last(_Whole):
    def forward(self, x: Tensor) -> Tensor:
        return self.body.last(x)

"""Which part of a body a learner moves, how it is run with weights of its own, and what it normalises by."""

from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from meta_core.backbone import Backbone
from meta_core.types import State

Part = Literal["frozen", "last", "all"]


def moving(backbone: Backbone, part: Part) -> list[str]:
    """Names of the weights that may move."""
    if part == "frozen":
        return []
    return backbone.last_weights() if part == "last" else backbone.all_weights()


def before(backbone: Backbone, part: Part, x: Tensor) -> Tensor:
    """Inputs [N, *shape] as far as nothing moves: [N, ...], embeddings [N, D] where nothing does."""
    if part == "frozen":
        return backbone(x)
    return backbone.before_last(x) if _of_last(backbone, part) else x


def finished(backbone: Backbone, part: Part, h: Tensor, weights: State) -> Tensor:
    """Embeddings [N, D] of what `before` made, by these weights in the place of the body's own."""
    if part == "frozen":
        return h
    module = _Last(backbone) if _of_last(backbone, part) else _Whole(backbone)
    z: Tensor = functional_call(module, {f"body.{name}": value for name, value in weights.items()}, (h,))
    return z  # [N, D]


def _of_last(backbone: Backbone, part: Part) -> bool:
    """Whether the last block is all that moves."""
    return part == "last" or len(backbone.last_weights()) == len(backbone.all_weights())


class SupportNorm(nn.BatchNorm2d):
    """Batch normalisation by given statistics `mean` and `variance` [C]; by those of its inputs until then."""

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels, track_running_stats=False)
        self.register_buffer("mean", torch.empty(0), persistent=False)
        self.register_buffer("variance", torch.empty(0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same."""
        seen = self.given() or moments(x)
        scale = self.weight * (seen["variance"] + self.eps).rsqrt()  # [C]
        return x * scale[:, None, None] + (self.bias - seen["mean"] * scale)[:, None, None]

    def given(self) -> State:
        """The statistics it was given, if any."""
        return {"mean": self.mean, "variance": self.variance} if len(self.mean) else {}


def moments(x: Tensor) -> State:
    """Mean and variance of each channel [C] of [N, C, H, W]."""
    mean = x.mean((0, 2, 3))
    # in two passes: `var_mean` takes ten times as long where channels come last
    return {"mean": mean, "variance": (x - mean[:, None, None]).square().mean((0, 2, 3))}


def statistics(backbone: Backbone, weights: State, x: Tensor) -> State:
    """What a body with these weights normalises by, given the inputs of a support set: by names of its buffers."""
    seen: State = {}

    def note(layer: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.update({f"{layer}.{name}": value for name, value in moments(inputs[0]).items()})

    layers = [(name, module) for name, module in backbone.named_modules() if isinstance(module, SupportNorm)]
    handles = [module.register_forward_pre_hook(partial(note, name)) for name, module in layers]
    try:
        functional_call(backbone, weights, (x,))
    finally:
        for handle in handles:
            handle.remove()
    return seen


class _Whole(nn.Module):
    def __init__(self, body: Backbone) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class _Last(_Whole):
    def forward(self, x: Tensor) -> Tensor:
        return self.body.last(x)

"""Twelve convolutions with shortcuts: the larger body of few-shot image benchmarks."""

import copy
import itertools
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from meta_core.backbone import Backbone, Normalisation, backbones
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.convolution import GroupNorm, channels_last, folded
from meta_core.errors import InvalidParameter

SLOPE = 0.1
GROUPS = 8
Width = Annotated[int, Field(ge=8, le=2048, multiple_of=8)]


class ResNet12Config(Config):
    """Channels of the four blocks, and how activations are normalised; 64-160-320-640 is common too."""

    widths: tuple[Width, Width, Width, Width] = Field((64, 128, 256, 512), json_schema_extra=MADE_WITH_THE_WEIGHTS)
    norm: Literal["batch", "group"] = Field("batch", json_schema_extra=MADE_WITH_THE_WEIGHTS)


@backbones.register("resnet12")
class ResNet12(Backbone):
    """Four residual blocks of three 3×3 convolutions, each halving the image; then the mean over places.

    That of TADAM and MetaOptNet (arXiv:1805.10123, arXiv:1904.03758), with leaky ReLU and without DropBlock.
    """

    Config = ResNet12Config

    def __init__(self, shape: tuple[int, ...], config: ResNet12Config) -> None:
        super().__init__(shape, config)
        if len(shape) != 3 or min(shape[1:]) < 16:
            raise InvalidParameter(
                f"backbone resnet12 takes images of at least 16×16 pixels; inputs have shape {list(shape)}"
            )
        self.policy: Normalisation = "running" if config.norm == "batch" else "group"
        self.dimension = config.widths[-1]
        pairs = itertools.pairwise((shape[0], *config.widths))
        self.blocks = nn.ModuleList(Residual(before, width, config.norm) for before, width in pairs)

    @property
    def normalisation(self) -> Normalisation:
        """As configured."""
        return self.policy

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, height, width] to [N, last width]."""
        z = channels_last(x)
        for block in self.blocks:
            z = block(z)
        return z.mean((2, 3))  # [N, D]

    def inference(self) -> Backbone:
        """Normalisation by running statistics becomes part of the convolutions."""
        if self.policy == "group":
            return self
        same = copy.deepcopy(self)
        for block in same.blocks:
            assert isinstance(block, Residual)
            block.convolutions = nn.ModuleList(folded(*pair.children()) for pair in block.convolutions)
            block.shortcut = folded(*block.shortcut.children())
        return same


class Residual(nn.Module):
    """leaky(shortcut(x) + f(x)), f three convolutions; then 2×2 max-pooling, which commutes with the leaky ReLU."""

    def __init__(self, before: int, width: int, norm: str) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(_convolution(channels, width, norm, 3) for channels in (before, width, width))
        self.shortcut: nn.Module = _convolution(before, width, norm, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, before, H, W] to [N, width, ⌊H/2⌋, ⌊W/2⌋]."""
        first, second, third = self.convolutions
        z = third(F.leaky_relu(second(F.leaky_relu(first(x), SLOPE)), SLOPE))
        return F.leaky_relu(F.max_pool2d(z + self.shortcut(x), 2), SLOPE)


def _convolution(before: int, width: int, norm: str, size: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, width, size, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, a=SLOPE)
    convolution.weight.data = channels_last(convolution.weight.data)
    return nn.Sequential(convolution, nn.BatchNorm2d(width) if norm == "batch" else GroupNorm(GROUPS, width))

"""Four convolutional blocks: the common body of few-shot image benchmarks."""

from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone, Normalisation, backbones
from meta_core.body_part import SupportNorm
from meta_core.chain import Chain, pooled_convolutions
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.convolution import GroupNorm, channels_last
from meta_core.errors import InvalidParameter
from meta_core.pooled_norm import pooled_block


class Conv4Config(Config):
    """Channels of every block, and how activations are normalised."""

    width: int = Field(64, ge=8, le=512, multiple_of=8, json_schema_extra=MADE_WITH_THE_WEIGHTS)
    norm: Literal["batch", "fixed", "group", "support"] = Field("batch", json_schema_extra=MADE_WITH_THE_WEIGHTS)


@backbones.register("conv4")
class Conv4(Backbone):
    """Four times 3×3 convolution, normalisation, 2×2 max-pooling, ReLU (Vinyals et al., 2016, arXiv:1606.04080).

    Pooling comes before ReLU, with which it commutes exactly: a quarter of the work. `batch` normalisation uses
    running statistics when not in training. For learners that adapt the body there are `group` (8 groups), and `fixed`:
    the statistics of a `batch` body from which the training starts, as constants, and `support`: those of each task's
    support set.
    """

    Config = Conv4Config

    def __init__(self, shape: tuple[int, ...], config: Conv4Config) -> None:
        super().__init__(shape, config)
        if len(shape) != 3 or min(shape[1:]) < 16:
            raise InvalidParameter(
                f"backbone conv4 takes images of at least 16×16 pixels; inputs have shape {list(shape)}"
            )
        channels, height, width = shape
        self.policy: Normalisation = "running" if config.norm == "batch" else config.norm
        self.dimension = config.width * (height // 16) * (width // 16)
        self.blocks = nn.ModuleList(_block(c, config) for c in (channels, *[config.width] * 3))

    @property
    def normalisation(self) -> Normalisation:
        """As configured."""
        return self.policy

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, height, width] to [N, width · ⌊height/16⌋ · ⌊width/16⌋]."""
        return self.last(self.before_last(x))

    def before_last(self, x: Tensor) -> Tensor:
        """[N, channels, height, width] to [N, width, ⌊height/8⌋, ⌊width/8⌋], after three blocks."""
        z = channels_last(x)
        for block in self.blocks[:-1]:
            z = pooled_block(block, z)
        return z

    def last(self, h: Tensor) -> Tensor:
        """The fourth block."""
        return pooled_block(self.blocks[-1], h).flatten(1)  # [N, D]

    def inference(self) -> Backbone:
        """Normalisation by running statistics becomes part of the convolutions."""
        if self.policy in ("group", "support"):
            return self
        return Chain(self, pooled_convolutions(self.blocks, [(2, 2)] * 4), partial(torch.flatten, start_dim=1))


class FixedNorm(nn.BatchNorm2d):
    """Batch normalisation by given statistics, in training too: a scale and a shift of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same."""
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = self.weight * (self.running_var + self.eps).rsqrt()  # [C]
        return x * scale[:, None, None] + (self.bias - self.running_mean * scale)[:, None, None]


def _block(channels: int, config: Conv4Config) -> nn.Sequential:
    convolution = nn.Conv2d(channels, config.width, 3, padding=1)
    convolution.weight.data = channels_last(convolution.weight.data)
    return nn.Sequential(convolution, _norm(config))


def _norm(config: Conv4Config) -> nn.Module:
    if config.norm == "group":
        return GroupNorm(8, config.width)
    norms: dict[str, type[nn.Module]] = {"batch": nn.BatchNorm2d, "fixed": FixedNorm, "support": SupportNorm}
    return norms[config.norm](config.width)

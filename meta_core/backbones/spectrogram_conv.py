"""Convolutions over a spectrogram, with a rough memory of when."""

import itertools
from functools import partial
from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from meta_core.backbone import Backbone, Normalisation, backbones
from meta_core.chain import Chain, pooled_convolutions
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.convolution import GroupNorm, channels_last
from meta_core.errors import InvalidParameter
from meta_core.pooled_norm import pooled_block

LEAST = 16
"""Bands and frames that four halvings need."""
POOLS = ((1, 1), (2, 2), (2, 2), (2, 1))


class SpectrogramConvConfig(Config):
    """How wide it is, and how finely it remembers when something sounded."""

    width: int = Field(64, ge=16, le=512, multiple_of=16, json_schema_extra=MADE_WITH_THE_WEIGHTS)
    segments: int = Field(
        4, ge=1, le=64, description="parts of the window that are kept apart", json_schema_extra=MADE_WITH_THE_WEIGHTS
    )
    norm: Literal["batch", "group"] = Field("batch", json_schema_extra=MADE_WITH_THE_WEIGHTS)


@backbones.register("spectrogram-conv")
class SpectrogramConv(Backbone):
    """Four times convolution, normalisation and ReLU, the first with stride 2, the others with 2×2 max-pooling.

    The last one pools frequencies only. What is left is averaged over frequency, and over time within each of
    `segments` parts of the window. `batch` normalisation uses running statistics when not in training; `group`
    (8 groups) is for learners that adapt the body.
    """

    Config = SpectrogramConvConfig

    def __init__(self, shape: tuple[int, ...], config: SpectrogramConvConfig) -> None:
        super().__init__(shape, config)
        if len(shape) != 3 or min(shape[1:]) < LEAST:
            raise InvalidParameter(
                f"backbone spectrogram-conv takes spectrograms of at least {LEAST} bands and {LEAST} frames; "
                f"inputs have shape {list(shape)}"
            )
        widths = [config.width // 2, config.width, config.width, config.width]
        first = nn.Conv2d(shape[0], widths[0], 5, stride=2, padding=2, bias=False)
        later = [nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in itertools.pairwise(widths)]
        self.policy: Normalisation = "running" if config.norm == "batch" else "group"
        self.segments = config.segments
        self.dimension = config.width * config.segments
        for convolution in (first, *later):
            convolution.weight.data = channels_last(convolution.weight.data)
        self.blocks = nn.ModuleList(nn.Sequential(c, _norm(c.out_channels, config.norm)) for c in (first, *later))

    @property
    def normalisation(self) -> Normalisation:
        """Running statistics or groups, as configured."""
        return self.policy

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, bands, frames] to [N, width · segments]."""
        z = channels_last(x)
        for block, pool in zip(self.blocks, POOLS, strict=True):
            z = pooled_block(block, z, pool)
        return _segments(z, self.segments)

    def inference(self) -> Backbone:
        """Normalisation by running statistics becomes part of the convolutions."""
        if self.policy == "group":
            return self
        return Chain(self, pooled_convolutions(self.blocks, POOLS), partial(_segments, segments=self.segments))


def _segments(z: Tensor, segments: int) -> Tensor:
    """[N, width, bands / 16, frames / 8] to [N, width · segments]."""
    return F.adaptive_avg_pool1d(z.mean(2), segments).flatten(1)


def _norm(width: int, kind: str) -> nn.Module:
    return nn.BatchNorm2d(width) if kind == "batch" else GroupNorm(8, width)

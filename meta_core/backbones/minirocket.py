"""Fixed convolution kernels at many dilations, and how often each of them answers strongly or best."""

import itertools
import math

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from meta_core.backbone import Backbone, Normalisation, backbones
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.errors import InvalidParameter

TAPS = 9
KERNELS = 84
"""All ways to place three weights of 2 among nine, the others being −1."""
MOST_DILATIONS = 32
COMPETITORS = 8
"""Kernels of a group that compete for every step."""
MOST_AT_ONCE = 1 << 23
"""Numbers of one convolution's output that are held at the same time."""
SEED = 0


class MiniRocketConfig(Config):
    """How many features are made of a series."""

    features: int = Field(
        5_000,
        ge=KERNELS,
        le=20_000,
        description="shares of steps above a threshold, about",
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
    )
    groups: int = Field(
        32,
        ge=0,
        le=128,
        description=f"groups of {COMPETITORS} competing random kernels at each dilation; 0: none",
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
    )
    normalise: bool = Field(
        True,
        description="bring each channel of each series to mean 0 and variance 1; false: their level and scale count, "
        "where the modality gives the series of a support set a common scale",
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
    )


@backbones.register("minirocket")
class MiniRocket(Backbone):
    """MiniRocket (Dempster et al., 2021, arXiv:2012.08791) beside competing kernels (Hydra, 2023, arXiv:2203.13652).

    The level and the logarithm of the scale of each channel are features beside the kernels'. From MiniRocket come the
    84 kernels, the dilations and the share of steps whose convolution is above a threshold. Theirs are quantiles of
    training examples; ours are those of a normal distribution with the deviation of the example's own convolution, so
    that nothing needs to be remembered of a support set. From Hydra: of eight random kernels, how much the best has
    answered and how often each was the worst, in the series and in its differences. Features are shifted
    to about zero. With several channels each kernel sees a random few of them.
    """

    Config = MiniRocketConfig
    kernels: Tensor
    thresholds: Tensor

    def __init__(self, shape: tuple[int, ...], config: MiniRocketConfig) -> None:
        super().__init__(shape, config)
        if len(shape) not in (1, 2) or shape[-1] < 3:
            raise InvalidParameter(
                f"backbone minirocket takes series [channels, steps ≥ 3]; inputs have shape {list(shape)}"
            )
        self.channels, self.steps = shape if len(shape) == 2 else (1, *shape)
        self.groups = config.groups
        self.normalise = config.normalise
        rng = torch.Generator().manual_seed(SEED)
        self.dilations = dilations(self.steps)
        self.octaves = sorted({2 ** int(math.log2(dilation)) for dilation in self.dilations})
        count = max(1, round(config.features / KERNELS / len(self.dilations)))
        levels = torch.arange(1, count + 1) * ((math.sqrt(5) + 1) / 2) % 1  # low-discrepancy quantiles, as in the paper
        self.register_buffer("thresholds", torch.special.ndtri(levels).clamp(-2, 2), persistent=False)  # [count]
        kernels = torch.stack([_chosen(three_of_nine(), self.channels, rng) for _ in self.dilations])
        self.register_buffer("kernels", kernels, persistent=False)  # [dilations, 84, channels, 9]
        for name in ("series", "differences"):
            drawn = [_chosen(random_kernels(config.groups, rng), self.channels, rng) for _ in self.octaves]
            self.register_buffer(f"competing_{name}", torch.stack(drawn), persistent=False)
        counts = 2 * 2 * len(self.octaves) * config.groups * COMPETITORS
        self.dimension = KERNELS * count * len(self.dilations) + counts + 2 * self.channels

    @property
    def normalisation(self) -> Normalisation:
        """Nothing is normalised by anything but the example itself."""
        return "none"

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, steps], or [N, steps] of one channel, to [N, D]."""
        x = x.reshape(len(x), self.channels, self.steps)
        size = max(KERNELS, self.groups * COMPETITORS) * self.steps
        return torch.cat([self._features(part) for part in torch.split(x, max(1, MOST_AT_ONCE // size))])  # [N, D]

    def _features(self, x: Tensor) -> Tensor:
        level = x.mean(-1, keepdim=True)  # [N, channels, 1]
        scale = (x - level).square().mean(-1, keepdim=True).sqrt()
        flat = scale <= 1e-6 * (1 + level.abs())  # what is left of a constant is rounding
        if self.normalise:
            x = torch.where(flat, 0.0, (x - level) / torch.where(flat, 1.0, scale))
        own = torch.cat([level, torch.where(flat, 1e-6, scale).log()], -1).flatten(1)  # [N, 2 · channels]
        parts = [own, *(self._shares(x, i) for i in range(len(self.dilations)))]
        if self.groups:
            for i, octave in enumerate(self.octaves):
                parts.append(self._winners(x, self.get_buffer("competing_series")[i], octave))
                parts.append(self._winners(x.diff(dim=-1), self.get_buffer("competing_differences")[i], octave))
        return torch.cat(parts, 1)

    def _shares(self, x: Tensor, i: int) -> Tensor:
        """Shares of the steps above each threshold, less the share of a normal distribution: [N, 84 · thresholds]."""
        answer = convolved(x, self.kernels[i], self.dilations[i]).detach()  # [N, 84, steps]; a share has no slope
        deviation = answer.square().mean(-1, keepdim=True).sqrt()  # the kernels sum to zero
        above = torch.empty_like(answer)  # written as floats at once, which is several times faster
        shares = [torch.gt(answer, threshold * deviation, out=above).mean(-1) for threshold in self.thresholds]
        return torch.flatten(torch.stack(shares, -1) - torch.special.ndtr(-self.thresholds), 1)

    def _winners(self, x: Tensor, kernels: Tensor, dilation: int) -> Tensor:
        """Roots of what each kernel answered where it was best, and of how often it was worst: [N, 2 · kernels]."""
        answer = convolved(x, kernels, dilation)
        answer = answer.reshape(len(x), self.groups, COMPETITORS, -1)  # [N, groups, 8, steps]
        amount = (is_equal(answer, answer.amax(2, keepdim=True)) * answer).mean(-1).clamp(min=0)  # [N, groups, 8]
        times = is_equal(answer, answer.amin(2, keepdim=True)).mean(-1)
        return (torch.cat([amount, times], -1).sqrt() - math.sqrt(1 / COMPETITORS)).flatten(1)


def is_equal(a: Tensor, b: Tensor) -> Tensor:
    """1 where they are, 0 elsewhere, in the dtype of `a`."""
    return torch.eq(a.detach(), b.detach(), out=torch.empty_like(a))


def dilations(steps: int) -> list[int]:
    """At most 32, from 1 to where a kernel spans the series, evenly in their logarithms."""
    largest = math.log2(max(1.0, (steps - 1) / (TAPS - 1)))
    return sorted({int(2 ** (largest * i / (MOST_DILATIONS - 1))) for i in range(MOST_DILATIONS)})


def convolved(x: Tensor, kernels: Tensor, dilation: int) -> Tensor:
    """As many steps as there were, with zeros beyond both ends: [N, kernels, steps]."""
    return F.conv1d(x, kernels, dilation=dilation, padding=dilation * (TAPS // 2))


def three_of_nine() -> Tensor:
    """The kernels of MiniRocket, [84, 9]."""
    kernels = torch.full((KERNELS, TAPS), -1.0)
    for row, places in enumerate(itertools.combinations(range(TAPS), 3)):
        kernels[row, list(places)] = 2.0
    return kernels


def random_kernels(groups: int, rng: torch.Generator) -> Tensor:
    """Normal weights of mean 0 and absolute sum 1, [groups · 8, 9]."""
    kernels = torch.randn(groups * COMPETITORS, TAPS, generator=rng)
    kernels = kernels - kernels.mean(-1, keepdim=True)
    return kernels / kernels.abs().sum(-1, keepdim=True)


def _chosen(kernels: Tensor, channels: int, rng: torch.Generator) -> Tensor:
    """Each kernel on a random few of the channels, 1 to 9, few rather than many: [kernels, channels, 9]."""
    if channels == 1:
        return kernels[:, None]
    most = min(channels, 9)
    counts = (2 ** (torch.rand(len(kernels), generator=rng) * math.log2(most + 1))).int()
    rank = torch.rand(len(kernels), channels, generator=rng).argsort(-1).argsort(-1)
    seen = rank < counts[:, None]  # [kernels, channels]
    return kernels[:, None] * seen[..., None] / counts[:, None, None].sqrt()

"""Intervals of 95 % for what was measured on a few examples."""

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

NORMAL_95 = 1.959964
RESAMPLES = 200
ENDS = (0.025, 0.975)

Interval = tuple[float, float]


def wilson(hits: float, n: int) -> Interval:
    """For a share of `n` independent trials (Wilson, 1927); unlike the normal one it is right near 0 and 1."""
    share, squared = hits / n, NORMAL_95**2
    centre = (share + squared / (2 * n)) / (1 + squared / n)
    half = NORMAL_95 / (1 + squared / n) * math.sqrt(share * (1 - share) / n + squared / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


@functools.lru_cache(maxsize=64)
def resamples(n: int) -> Tensor:
    """How often each of `n` examples is drawn in each of B resamples with replacement, [B, n]; always the same."""
    rng = torch.Generator().manual_seed(0)
    drawn = torch.randint(n, (RESAMPLES, n), generator=rng)
    return torch.zeros(RESAMPLES, n).scatter_add_(1, drawn, torch.ones(RESAMPLES, n))


def bootstrap(statistic: Callable[[Tensor], Tensor], n: int) -> Interval:
    """Percentiles of a statistic of weighted examples, weights [B, n] to values [B] (Efron, 1979).

    Resamples in which the statistic is undefined are left out.
    """
    values = statistic(resamples(n)).double().cpu().numpy()
    values = np.sort(values[~np.isnan(values)])
    if not len(values):
        return math.nan, math.nan
    low, high = np.interp(ENDS, np.linspace(0, 1, len(values)), values)
    return float(low), float(high)

"""How wide an interval has to be, from few residuals and what is usual."""

from collections.abc import Sequence

import torch

from meta_core.calibration import calibrated
from meta_core.quality import HeldOut
from meta_core.types import Gaussian

NORMAL_90 = 1.6448536
"""Standard deviations on each side of the mean that hold 90 % of a normal distribution."""
USUAL_WEIGHT = 50.0
"""Of the residuals of past tasks, in left-out examples."""


def width_90(held_out: HeldOut | None, calibration: float, usual: Sequence[float]) -> float:
    """Standard deviations on each side of the mean that hold a target nine times in ten.

    That quantile of the n standardised residuals of the left out together with those of past tasks, `usual` being
    quantiles of these, which count for m examples. Where n is large it is the conformal one, of rank 0.9 (n + 1); where
    it is not, no normal distribution is assumed.
    """
    own = torch.empty(0, dtype=torch.float64)
    if held_out is not None:
        prediction = calibrated(held_out[0], calibration)
        assert isinstance(prediction, Gaussian)
        own = ((held_out[1] - prediction.mean).abs() / prediction.variance.sqrt()).flatten().double().cpu()
    if not usual:
        usual = [NORMAL_90]
    residuals = torch.cat([own, torch.tensor(usual, dtype=torch.float64)])
    targets = held_out[1].shape[1] if held_out is not None else 1
    counted = torch.cat(
        [torch.full_like(own, 1 / targets), torch.full((len(usual),), USUAL_WEIGHT / len(usual), dtype=torch.float64)]
    )
    order = residuals.argsort()
    reached = counted[order].cumsum(0)
    rank = 0.9 * (reached[-1] + own.shape[0] / targets / reached[-1])
    place = int(torch.searchsorted(reached, rank).clamp(max=len(order) - 1))
    return float(f"{residuals[order[place]].item():.6g}")

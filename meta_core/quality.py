"""How far an adapted model can be trusted, estimated from its own support set."""

from typing import Any

import torch
from torch import Tensor

from meta_core.calibration import calibrated
from meta_core.learner import Learner
from meta_core.types import Categorical, Prediction, Support

HeldOut = tuple[Prediction, Tensor]
"""Answers to left-out support examples, and the truth."""


def leave_one_out(learner: Learner, support: Support) -> HeldOut | None:
    """Each support example answered from all the others, or None when no example can be spared.

    An example whose class has no other cannot be left out. A learner is asked for at most `most_left_out` examples,
    spread evenly.
    """
    if support.ways is None:
        spare = torch.arange(len(support)) if len(support) > 2 else torch.arange(0)
    else:
        spare = (support.counts()[support.y] > 1).nonzero().flatten().cpu()
    if not len(spare):
        return None
    if len(spare) > learner.most_left_out:
        spare = spare[torch.linspace(0, len(spare) - 1, learner.most_left_out).round().long()]
    left_out = spare.to(support.y.device)
    return learner.leave_one_out(support, left_out), support.y[left_out]


def scores(held_out: HeldOut | None, calibration: float) -> dict[str, Any]:
    """Leave-one-out accuracy (or RMSE and R²) and negative log-likelihood; empty when nothing could be left out."""
    if held_out is None:
        return {}
    prediction, y = held_out
    nll = calibrated(prediction, calibration).nll(y).mean().item()
    if isinstance(prediction, Categorical):
        hit = (prediction.log_probabilities.argmax(-1) == y).float().mean().item()
        return {"loo_accuracy": round(hit, 4), "loo_nll": round(nll, 4), "loo_examples": len(y)}
    squared = (prediction.mean - y).square().mean().item()
    total = (y - y.mean(0)).square().mean().item()
    r2 = round(1 - squared / total, 4) if total > 0 else None
    return {"loo_rmse": round(squared**0.5, 6), "loo_r2": r2, "loo_nll": round(nll, 4), "loo_examples": len(y)}

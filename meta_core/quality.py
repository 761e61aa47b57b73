"""How far an adapted model can be trusted, estimated from its own support set."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from meta_core.calibration import calibrated
from meta_core.evaluation import BINS, calibration_bins, expected_calibration_error
from meta_core.intervals import Interval, bootstrap, wilson
from meta_core.learner import Learner, concatenate
from meta_core.types import Categorical, Gaussian, Prediction, State, Support

Score = tuple[float, Interval]
HeldOut = tuple[Prediction, Tensor]
"""Answers to left-out support examples, and the truth."""


def sparable(support: Support, most: int) -> Tensor:
    """The examples that can be left out, at most so many and then spread evenly, [M].

    One whose class has no other cannot be left out.
    """
    if support.ways is None:
        spare = torch.arange(len(support) if len(support) > 2 else 0)
    else:
        spare = (support.counts()[support.y] > 1).nonzero().flatten().cpu()
    if len(spare) > most:
        spare = spare[torch.linspace(0, len(spare) - 1, most).round().long()]
    return spare.to(support.y.device)


def leave_one_out(learner: Learner, support: Support) -> HeldOut | None:
    """Support examples answered from all the others, or None when no example can be spared."""
    left_out = sparable(support, learner.most_left_out)
    return (learner.leave_one_out(support, left_out), support.y[left_out]) if len(left_out) else None


def adapt_and_leave_out(learner: Learner, support: Support) -> tuple[State, HeldOut | None]:
    """The state of a support set, and what `leave_one_out` says of it."""
    left_out = sparable(support, learner.most_left_out)
    if not len(left_out):
        return learner.adapt(support), None
    state, answers = learner.adapt_and_leave_out(support, left_out)
    return state, (answers, support.y[left_out])


def adapt_and_leave_out_each(learner: Learner, supports: Sequence[Support]) -> list[tuple[State, HeldOut | None]]:
    """The same for each of several support sets, those that are alike in one pass where that pays.

    For learners that adapt again without what they leave out.
    """
    left_out = [sparable(support, learner.most_left_out) for support in supports]
    places = [(support, i) for support, some in zip(supports, left_out, strict=True) for i in some.tolist()]
    tasks, queries = [support.without(i) for support, i in places], [support.x[i : i + 1] for support, i in places]
    answers = iter(learner.answer_each(tasks, queries) if tasks else ())
    held_out = [
        (concatenate(list(islice(answers, len(some)))), support.y[some]) if len(some) else None
        for support, some in zip(supports, left_out, strict=True)
    ]
    return list(zip(learner.adapt_each(supports), held_out, strict=True))


def scores(held_out: HeldOut | None, calibration: float) -> dict[str, Any]:
    """What leave-one-out answers say, once calibrated, each with an interval of 95 %; empty when there are none.

    Accuracy (Wilson), negative log-likelihood in nats and expected calibration error (both bootstrap); or root mean
    square error, R² and negative log-likelihood (bootstrap).
    """
    if held_out is None:
        return {}
    prediction, y = calibrated(held_out[0], calibration), held_out[1]
    n, nll = len(y), prediction.nll(y).float().cpu()
    values = {"loo_nll": (nll.mean().item(), bootstrap(lambda w: w @ nll / n, n))}
    if isinstance(prediction, Categorical):
        values = _class_scores(prediction, y) | values
    else:
        values = _target_scores(prediction, y) | values
    kept = {name: _rounded(value) for name, (value, _) in values.items()}
    intervals = {name: [_rounded(low), _rounded(high)] for name, (_, (low, high)) in values.items()}
    return {**kept, "loo_examples": n, "loo_intervals": intervals}


def _class_scores(prediction: Categorical, y: Tensor) -> dict[str, Score]:
    n = len(y)
    best, label = prediction.log_probabilities.max(-1)
    confidence, hit = best.exp().float().cpu(), (label == y).float().cpu()  # [M]
    gap = torch.nn.functional.one_hot(calibration_bins(confidence), BINS) * (confidence - hit)[:, None]  # [M, B]
    error = expected_calibration_error(confidence, hit)
    return {
        "loo_accuracy": (hit.mean().item(), wilson(hit.sum().item(), n)),
        "loo_ece": (error, bootstrap(lambda w: (w @ gap).abs().sum(-1) / n, n)),
    }


def _target_scores(prediction: Gaussian, y: Tensor) -> dict[str, Score]:
    n, y = len(y), y.double().cpu()
    squared = (prediction.mean.double().cpu() - y).square()  # [M, T]

    def rmse(w: Tensor) -> Tensor:
        return ((w.double() @ squared).mean(-1) / n).sqrt()

    def r2(w: Tensor) -> Tensor:
        w = w.double()
        total = w @ y.square() - (w @ y).square() / n  # [B, T]
        told = total.mean(-1) > 1e-12 * (w @ y.square()).mean(-1)  # else all that were drawn are the same
        return torch.where(told, 1 - (w @ squared).mean(-1) / total.mean(-1), torch.nan)

    once = torch.ones(1, n)
    found: dict[str, Score] = {"loo_rmse": (rmse(once).item(), bootstrap(rmse, n))}
    if r2(once).isfinite():
        found["loo_r2"] = (r2(once).item(), bootstrap(r2, n))
    return found


def _rounded(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")

"""Answers that hold the truth as often as promised: conformal prediction from the examples left out."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from meta_core.calibration import calibrated
from meta_core.errors import InvalidParameter
from meta_core.labels import Label, class_name
from meta_core.quality import HeldOut
from meta_core.types import Categorical

MOST_KEPT = 1000
UNKNOWN = "unknown"
"""The label of an answer that is rejected."""


def strangeness(held_out: HeldOut | None, calibration: float) -> list[float]:
    """How badly each left-out example was told, in ascending order; of very many, evenly chosen ones.

    For classes 1 − p of the true one; for targets the largest residual in standard deviations.
    """
    if held_out is None:
        return []
    prediction, y = calibrated(held_out[0], calibration), held_out[1]
    if isinstance(prediction, Categorical):
        found = 1 - prediction.nll(y).neg().exp()
    else:
        found = ((y - prediction.mean).abs() / prediction.variance.sqrt()).amax(-1)
    return kept(found)


def kept(found: torch.Tensor) -> list[float]:
    """Values [n] in ascending order; of very many, evenly chosen ones."""
    found = found.double().sort().values
    if len(found) > MOST_KEPT:
        found = found[torch.linspace(0, len(found) - 1, MOST_KEPT).round().long()]
    return [float(f"{value:.6g}") for value in found.tolist()]


def threshold(left_out: Sequence[float], coverage: float) -> float:
    """The strangeness that the truth stays below with a probability of `coverage` (Vovk et al., 2005).

    The ⌈(n + 1) · coverage⌉-th smallest of n. Raises `InvalidParameter` where n is too small to promise that.
    """
    rank = math.ceil((len(left_out) + 1) * coverage - 1e-9)
    if rank > len(left_out):
        needed = math.ceil(coverage / (1 - coverage) - 1e-9)
        raise InvalidParameter(
            f"a coverage of {coverage:g} needs {needed} support examples that can be left out, each with another of "
            f"its class; this model has {len(left_out)}"
        )
    return left_out[rank - 1]


def covering(answers: Sequence[dict[str, Any]], classes: Sequence[Label], limit: float) -> list[dict[str, Any]]:
    """The answers with the set of classes that are not too strange, or with the interval of that width.

    The most probable class is always in the set.
    """
    return [_with_set(a, classes, limit) if "label" in a else _with_interval(a, limit) for a in answers]


def rejection_level(left_out: Sequence[float], share: float) -> float:
    """The `unknown` beyond which that share of the support's own classes is rejected. Raises `InvalidParameter`."""
    rank = math.ceil((len(left_out) + 1) * (1 - share) - 1e-9)
    if rank > len(left_out):
        needed = math.ceil((1 - share) / share - 1e-9)
        raise InvalidParameter(
            f"to reject {share:g} needs {needed} support examples that can be left out, each with another of its "
            f"class; this model has {len(left_out)}",
            "reject",
        )
    return left_out[rank - 1]


def rejecting(answers: Sequence[dict[str, Any]], level: float) -> list[dict[str, Any]]:
    """The answers, labelled "unknown" where they are more so than the level."""
    return [
        {**a, "rejected": a["unknown"] > level, **({"label": UNKNOWN} if a["unknown"] > level else {})} for a in answers
    ]


def _with_set(answer: dict[str, Any], classes: Sequence[Label], limit: float) -> dict[str, Any]:
    likely = [c for c in classes if 1 - answer["probabilities"][class_name(c)] <= limit or c == answer["label"]]
    likely.sort(key=lambda c: -answer["probabilities"][class_name(c)])
    return {**answer, "set": likely}


def _with_interval(answer: dict[str, Any], limit: float) -> dict[str, Any]:
    mean, std = answer["mean"], answer["std"]
    if isinstance(mean, float):
        return {**answer, "interval": [mean - limit * std, mean + limit * std]}
    return {**answer, "interval": [[m - limit * s, m + limit * s] for m, s in zip(mean, std, strict=True)]}

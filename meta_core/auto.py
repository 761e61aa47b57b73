"""`auto`: the learner that the examples and past tasks speak for."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field

from meta_core.base import Base
from meta_core.calibration import calibrated, calibration_of
from meta_core.config import Config
from meta_core.errors import InvalidParameter
from meta_core.experience import told_by
from meta_core.learner import Learner, learners
from meta_core.members import Combination
from meta_core.quality import sparable
from meta_core.selection import Selection, scored, takes_any_embeddings, unscored
from meta_core.task_features import task_features
from meta_core.types import Gaussian, Prediction, Support, Task

NAME = "auto"
HOPELESS = 1.5
"""How far above the best expectation, on the scale of scores, a learner is not even tried."""


class AutoConfig(Config):
    """Among which learners to choose, and how long to look."""

    budget_ms: float = Field(
        25.0, ge=0, le=600_000, description="milliseconds that scoring the candidates may take, by their expected cost"
    )
    candidates: Annotated[list[str], Field(min_length=1, max_length=50)] | None = Field(
        None, description="names of learners; null: the base model's own, and all that take its embeddings"
    )


@dataclass(frozen=True)
class Choice:
    """The learner taken, and what was thought of each candidate."""

    learner: str
    considered: list[dict[str, Any]]


def candidates(base: Base, task: Task, config: AutoConfig) -> list[str]:
    """Names of the learners to choose from, the base model's own first. Raises `InvalidParameter` or `NotFound`."""
    own = base.spec.learners[task][0]
    others_work = not any(learners[name].adapts_body for name, _ in base.spec.learners.values())
    usual = [own, *(name for name in learners if others_work and takes_any_embeddings(name) and name != own)]
    allowed = [name for name in usual if task in learners[name].tasks]
    for name in config.candidates or ():
        if learners[name].name not in allowed:
            raise InvalidParameter(
                f"{name} cannot be chosen for {task} on {base.reference}; these can: {', '.join(allowed)}", "candidates"
            )
    return [name for name in allowed if config.candidates is None or name in config.candidates]


@torch.no_grad()
def choose(
    names: Sequence[str],
    build: Callable[[str], Learner],
    support: Support,
    selection: Selection,
    *,
    modality: str,
    budget_ms: float,
) -> Choice:
    """The best of some learners for an encoded support set.

    Those within the budget, best expectation first, are scored by leaving one out; the first of `names`, the base
    model's own, always, unless past tasks say it costs more than all of the budget. What is expected decides alone
    where nothing can be left out. The same examples always give the same choice: costs are those of past tasks.
    """
    task = support.task
    features = task_features(support, modality)
    prior = selection.prior(task, features)
    best = min((prior[name] for name in names if name in prior), default=0.0)
    expected = {name: prior.get(name, best - 1e-6) for name in names}  # one trained for this base model serves it
    tried = _within_budget(expected, best, selection, features, task, budget_ms)
    told: dict[str, float] = {}
    spent: dict[str, float] = {}
    examples = 0
    if len(left_out := sparable(support, len(support))):
        known: dict[str, Prediction] = {}
        for name in sorted(tried, key=lambda name: issubclass(learners[name], Combination)):
            started = time.perf_counter()
            learner = build(name)
            spare = left_out if len(left_out) <= learner.most_left_out else sparable(support, learner.most_left_out)
            known[name] = told_by(learner, support, spare, known)
            told[name] = scored(_loss(known[name], support, spare, selection, name), task)
            spent[name] = 1000 * (time.perf_counter() - started)
        examples = len(left_out)
    told = {name: value for name, value in told.items() if math.isfinite(value)}
    combined = selection.combined(task, expected, told, examples)
    order = sorted(combined, key=lambda name: (combined[name], names.index(name)))
    considered = [
        {
            "learner": name,
            "loo_nll": _shown(told.get(name), task),
            "expected_nll": _shown(expected[name], task),
            "combined_nll": _shown(combined[name], task),
            "ms": round(spent.get(name, 0.0), 2),
        }
        for name in order
        if name in tried
    ]
    return Choice(considered[0]["learner"], considered)


def _within_budget(
    expected: dict[str, float], best: float, selection: Selection, features: list[float], task: Task, budget_ms: float
) -> list[str]:
    names = list(expected)
    left = budget_ms
    tried = []
    for name in sorted(names, key=lambda name: (expected[name], names.index(name))):
        known = name in selection.expectations[task]
        cost = selection.milliseconds(task, name, features) if known else 0.0
        if cost <= left and (expected[name] <= best + HOPELESS or name == names[0]):
            tried.append(name)
            left -= cost
    return tried or [names[0]]


def _loss(prediction: Prediction, support: Support, left_out: torch.Tensor, selection: Selection, name: str) -> float:
    """Calibrated negative log-likelihood; of targets in deviations of the support, a mean over targets."""
    y = support.y[left_out]
    prior = selection.calibration(support.task, name)
    answer = calibrated(prediction, calibration_of(prediction, y, prior))
    loss = answer.nll(y).mean().item()
    if isinstance(answer, Gaussian):
        deviation = (support.y - support.y.mean(0)).square().mean(0).sqrt().clamp(min=1e-12)
        return (loss - deviation.log().sum().item()) / y.shape[1]
    return loss


def _shown(score: float | None, task: Task) -> float | None:
    return None if score is None else float(f"{unscored(score, task):.3g}")

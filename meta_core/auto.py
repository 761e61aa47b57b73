"""`auto`: the learner that the examples and past tasks speak for."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field

from meta_core.base import Base
from meta_core.calibration import EVEN, CalibrationPrior, calibrated, calibration_of
from meta_core.config import Config
from meta_core.errors import InvalidParameter
from meta_core.experience import of_members, told_by
from meta_core.learner import Learner, learners
from meta_core.members import Combination
from meta_core.quality import HeldOut, sparable
from meta_core.selection import Selection, scored, takes_any_embeddings, unscored
from meta_core.task_features import task_features
from meta_core.types import Gaussian, Prediction, State, Support, Task

NAME = "auto"
TIE = 0.05
"""How much better than the base model's own, on the scale of scores, another learner must be to be taken."""
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
    left_out: torch.Tensor
    told: dict[str, Prediction]
    """What candidates said to the left out."""

    def adapt(self, learner: Learner, support: Support) -> tuple[State, HeldOut | None]:
        """The state of the learner taken, and its answers to the left out, which need not be asked for again."""
        if not len(self.left_out):
            return learner.adapt(support), None
        y = support.y[self.left_out]
        answers = of_members(learner, len(y), self.told)
        if isinstance(learner, Combination) and answers:
            return learner.adapt_from(support, answers, y), (self.told[self.learner], y)
        return learner.adapt(support), (self.told[self.learner], y)


def candidates(base: Base, task: Task, config: AutoConfig) -> list[str]:
    """Names of the learners to choose from, the base model's own first. Raises `InvalidParameter` or `NotFound`."""
    own = base.spec.learners[task][0]
    others_work = learners[own].encode is Learner.encode
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
    base: Base,
    budget_ms: float,
) -> Choice:
    """The best of some learners for an encoded support set.

    Those within the budget, best expectation first, are scored by leaving one out; the first of `names`, the base
    model's own, always, unless past tasks say it costs more than all of the budget. What is expected decides alone
    where nothing can be left out. The same examples always give the same choice: costs are those of past tasks.
    """
    task = support.task
    features = task_features(support, base.spec.modality)
    calibrations = {name: usual_calibration(base, name, task, selection) for name in names}
    prior = selection.prior(task, features)
    best = min((prior[name] for name in names if name in prior), default=0.0)
    expected = {name: prior.get(name, best - 1e-6) for name in names}  # one trained for this base model serves it
    costs = {name: selection.milliseconds(task, name, features) if name in prior else 0.0 for name in names}
    tried = _within_budget(expected, costs, budget_ms)
    told: dict[str, float] = {}
    spent: dict[str, float] = {}
    known: dict[str, Prediction] = {}
    spares: dict[str, torch.Tensor] = {}
    examples = 0
    left_out = sparable(support, len(support))
    if len(left_out):
        for name in sorted(tried, key=lambda name: issubclass(learners[name], Combination)):
            started = time.perf_counter()
            learner = build(name)
            spare = spares[name] = sparable(support, learner.most_left_out)
            known[name] = told_by(learner, support, spare, known)
            told[name] = scored(_loss(known[name], support, spare, calibrations[name]), task)
            spent[name] = 1000 * (time.perf_counter() - started)
        examples = len(left_out)
    told = {name: value for name, value in told.items() if math.isfinite(value)}
    combined = selection.combined(task, {name: expected[name] for name in tried}, told, examples)
    order = sorted(combined, key=lambda name: (combined[name] - TIE * (name == names[0]), names.index(name)))
    considered = [
        {
            "learner": name,
            "loo_nll": _shown(told.get(name), task),
            "expected_nll": _shown(expected[name], task),
            "combined_nll": _shown(combined[name], task),
            "ms": round(spent.get(name, 0.0), 2),
        }
        for name in order
    ]
    return Choice(order[0], considered, spares.get(order[0], left_out[:0]), known)


def _within_budget(expected: dict[str, float], costs: dict[str, float], budget_ms: float) -> list[str]:
    """The best expected that can be afforded; of those without much hope only the first, the base model's own."""
    names = list(expected)
    hope = min(expected.values()) + HOPELESS
    tried: list[str] = []
    for name in sorted(names, key=lambda name: (expected[name], names.index(name))):
        if costs[name] <= budget_ms and (expected[name] <= hope or name == names[0]):
            tried.append(name)
            budget_ms -= costs[name]
    return tried or [names[0]]


def usual_calibration(base: Base, name: str, task: Task, selection: Selection) -> CalibrationPrior:
    """Where the calibration of a learner on a base model usually lies.

    One trained in the base model has learned its own temperature there: other embeddings say nothing of it.
    """
    trained = any(not key.startswith("backbone.") for key in base.weights)
    own = base.spec.learners.get(task, ("", {}))[0]
    return EVEN if trained and name == own else selection.calibration(task, name)


def _loss(prediction: Prediction, support: Support, left_out: torch.Tensor, prior: CalibrationPrior) -> float:
    """Calibrated negative log-likelihood; of targets in deviations of the support, a mean over targets."""
    y = support.y[left_out]
    answer = calibrated(prediction, calibration_of(prediction, y, prior))
    loss = answer.nll(y).mean().item()
    if isinstance(answer, Gaussian):
        deviation = (support.y - support.y.mean(0)).square().mean(0).sqrt().clamp(min=1e-12)
        return (loss - deviation.log().sum().item()) / y.shape[1]
    return loss


def _shown(score: float | None, task: Task) -> float | None:
    return None if score is None else float(f"{unscored(score, task):.3g}")

"""`auto`: the learner that the examples and past tasks speak for."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from meta_core.base import Base
from meta_core.calibration import calibrated, calibration_of
from meta_core.config import Config
from meta_core.errors import InvalidParameter
from meta_core.fusion import Member, Told, member_weights, stack_params, together
from meta_core.learner import Learner, learners
from meta_core.learners.stack import Stack
from meta_core.quality import HeldOut, adapt_and_leave_out, sparable
from meta_core.selection import (
    CHEAP,
    COSTLY,
    MOST_DIMENSIONS,
    STACK,
    Selection,
    known_as,
    scored,
    takes_any_embeddings,
    unscored,
)
from meta_core.task_features import task_features
from meta_core.types import Gaussian, State, Support, Task

NAME = "auto"
TIE = 0.05
"""How much better than the base model's own, on the scale of scores, another learner must be to be taken."""
HOPELESS = 1.0
"""How far above the best expectation, on the scale of scores, a learner is not even tried."""
UNTRIED_MS = 200.0
"""Milliseconds that scoring a learner is taken to cost of which past tasks tell nothing."""

Build = Callable[[str, Mapping[str, Any]], Learner]
"""A learner by its name and complete parameters."""


class AutoConfig(Config):
    """Among which learners to choose, and how long to look."""

    budget_ms: float = Field(
        25.0, ge=0, le=600_000, description="milliseconds that scoring the candidates may take, by their expected cost"
    )
    candidates: Annotated[list[str], Field(min_length=1, max_length=50)] | None = Field(
        None,
        description="names of learners; null: the base model's own, those in closed form, forest, and a stack of them",
    )


@dataclass(frozen=True)
class Choice:
    """The learner taken and its parameters, and what was thought of each candidate."""

    learner: str
    params: dict[str, Any]
    considered: list[dict[str, Any]]
    features: list[float]
    """The description of the task."""
    told: Told | None
    """What it said of the left out."""
    members: tuple[Member, ...] = ()
    """Those of a stack."""

    def adapt(self, learner: Learner, support: Support) -> tuple[State, HeldOut | None]:
        """The state of the learner taken, and its answers to the left out, which need not be asked for again."""
        if self.told is None:
            return adapt_and_leave_out(learner, support)
        held_out = self.told.answers, support.y[self.told.left_out]
        if isinstance(learner, Stack):
            weights, calibrations = (
                torch.tensor(values).to(support.x)
                for values in zip(*((one.weight, one.calibration) for one in self.members), strict=True)
            )
            known = [one.told.state for one in self.members]
            return learner.weighted(support, weights, calibrations, known), held_out
        return self.told.state or learner.adapt(support), held_out


def candidates(base: Base, task: Task, config: AutoConfig) -> list[str]:
    """Names of the learners to choose from, the base model's own first. Raises `InvalidParameter` or `NotFound`."""
    own = base.spec.learners[task][0]
    others_work = learners[own].encode is Learner.encode
    allowed = [own, *(name for name in learners if others_work and takes_any_embeddings(name) and name != own)]
    allowed = [name for name in allowed if task in learners[name].tasks]
    if config.candidates is None:
        return [name for name in dict.fromkeys((own, *CHEAP[task], *COSTLY[task], STACK)) if name in allowed]
    for name in config.candidates:
        if learners[name].name not in allowed:
            raise InvalidParameter(
                f"{name} cannot be chosen for {task} on {base.reference}; these can: {', '.join(allowed)}", "candidates"
            )
    if set(config.candidates) == {STACK}:
        raise InvalidParameter("a stack is made of the other candidates: name some, or take it by name", "candidates")
    return [name for name in allowed if name in config.candidates]


def tries(name: str, asked: Mapping[str, Any]) -> bool:
    """Whether a request, by its record, names a learner, or lets `auto` try the base model's own, which it is."""
    if asked["learner"] != NAME:
        return True
    config = AutoConfig(**asked["params"])
    return config.budget_ms >= AutoConfig().budget_ms and (config.candidates is None or name in config.candidates)


@torch.no_grad()
def choose(
    names: Sequence[str],
    build: Build,
    support: Support,
    selection: Selection,
    *,
    base: Base,
    budget_ms: float,
    known: Mapping[str, Told] | None = None,
) -> Choice:
    """The best of some learners for an encoded support set.

    The first of `names`, the base model's own, is scored by leaving one out; then, best expectation first, those
    within the budget that the expectation leaves a chance. Where several of them are about as good, and `stack` is
    among the names, it is a stack of at most three. What is expected decides alone where nothing can be left out. The
    same examples always give the same choice: costs are those of past tasks. What is `known` already of some learners
    is not asked again.
    """
    search = _Search(names, build, support, selection, base=base, known=known or {})
    if search.examples:
        search.look(budget_ms)
    return search.choice(budget_ms)


class _Search:
    """One choice in the making: what is expected, and what was told so far."""

    def __init__(
        self,
        names: Sequence[str],
        build: Build,
        support: Support,
        selection: Selection,
        *,
        base: Base,
        known: Mapping[str, Told],
    ) -> None:
        width = math.prod(support.x.shape[1:])
        self.names = [name for name in names if MOST_DIMENSIONS.get(name, width) >= width] or [names[0]]
        self.build, self.support, self.selection, self.base = build, support, selection, base
        self.known = known
        self.task: Task = support.task
        self.stacks = STACK in self.names
        self.names = [name for name in self.names if name != STACK]
        self.features = features = task_features(support)
        named = {name: known_as(base, name, self.task) for name in self.names}
        prior = selection.prior(self.task, features)
        scores = [prior[named[name]] for name in self.names if named[name] in prior] or [0.0]
        # of the base model's own nothing is known where it was meta-trained there, and serves it
        untold = {name: max(scores) for name in self.names} | {names[0]: min(scores) - 1e-6}
        self.expected = {name: prior.get(named[name], untold[name]) for name in self.names}
        times = {name: selection.milliseconds(self.task, named[name], features) for name in self.names}
        unknown = dict.fromkeys(self.names, UNTRIED_MS) | {names[0]: 0.0}
        self.costs = {name: times[name] if math.isfinite(times[name]) else unknown[name] for name in self.names}
        self.usual = {name: selection.calibration(self.task, named[name], features) for name in self.names}
        self.examples = len(sparable(support, len(support)))
        self.params = {name: base.params_of(name, self.task) for name in self.names}
        self.told: dict[str, Told] = {}
        self.scores: dict[str, float] = {}
        self.calibrations: dict[str, float] = {}
        self.spent: dict[str, float] = {}

    def look(self, budget_ms: float) -> None:
        """Score those that can be afforded and might be taken, the base model's own first."""
        own, *others = self.names
        others.sort(key=lambda name: (self.expected[name], self.names.index(name)))
        for name in (own, *others):
            if self.costs[name] <= budget_ms and self._might_win(name):
                budget_ms -= self.costs[name]
                started = time.perf_counter()
                self._score(name)
                ahead = self.known[name].milliseconds if name in self.known else 0.0
                self.spent[name] = ahead + 1000 * (time.perf_counter() - started)

    def choice(self, budget_ms: float) -> Choice:
        """The best of what was looked at; where nothing was, of what is expected."""
        open_ones = {
            name: value
            for name, value in self.expected.items()
            if name == self.names[0] or self.costs[name] <= budget_ms
        }
        expected = self.expected if self.scores else open_ones
        combined = self.selection.combined(self.task, expected, self.scores, self.examples)
        own = self.names[0]
        favoured = {name: score - TIE * (name == own) for name, score in combined.items()}
        order = sorted(combined, key=lambda name: (favoured[name], self.names.index(name)))
        taken = order[0]
        weights = member_weights(combined, self.task) if self.stacks and self.scores else {taken: 1.0}
        considered = [self._considered(name, combined[name], weights.get(name, 0.0)) for name in order]
        if len(weights) > 1:
            return self._stacked(weights, considered)
        return Choice(taken, self.params[taken], considered, self.features, self.told.get(taken))

    def _stacked(self, weights: Mapping[str, float], considered: list[dict[str, Any]]) -> Choice:
        names = [name for name in self.names if name in weights]  # in one order, for there to be few different stacks
        members = tuple(Member(self.told[name], self.calibrations[name], weights[name]) for name in names)
        params = stack_params(self.base, names, self.task)
        return Choice(STACK, params, considered, self.features, together(members), members)

    def _might_win(self, name: str) -> bool:
        """Whether it could be the choice even if it told all of the left out without any loss."""
        if not self.scores:
            return True
        if self.expected[name] > min(self.expected.values()) + HOPELESS:
            return False
        trust = self.selection.trust(self.task, self.examples)
        least = scored(0.0, self.task) if self.task == "classification" else -math.inf
        own = self.names[0]
        return all(
            (1 - trust) * (self.expected[name] - self.expected[rival]) + trust * (least - score)
            < (-TIE if rival == own else 0.0)
            for rival, score in self.scores.items()
        )

    def _score(self, name: str) -> None:
        learner = self.build(name, self.params[name])
        left_out = sparable(self.support, learner.most_left_out)
        told = self.known.get(name) or _told(learner, self.support, left_out)
        calibration = calibration_of(told.answers, self.support.y[left_out], self.usual[name])
        score = scored(_loss(told, self.support, calibration), self.task)
        if math.isfinite(score):
            self.told[name], self.scores[name], self.calibrations[name] = told, score, calibration

    def _considered(self, name: str, combined: float, weight: float) -> dict[str, Any]:
        return {
            "learner": name,
            "weight": weight,
            "loo_nll": _shown(self.scores.get(name), self.task),
            "expected_nll": _shown(self.expected[name], self.task),
            "combined_nll": _shown(combined, self.task),
            "ms": round(self.spent.get(name, 0.0), 2),
        }


def _told(learner: Learner, support: Support, left_out: Tensor) -> Told:
    if type(learner).adapt_and_leave_out is Learner.adapt_and_leave_out:
        return Told(left_out, learner.leave_one_out(support, left_out))
    state, answers = learner.adapt_and_leave_out(support, left_out)  # in the time of one of them
    return Told(left_out, answers, state)


def _loss(told: Told, support: Support, calibration: float) -> float:
    """Calibrated negative log-likelihood; of targets in deviations of the support, a mean over targets."""
    y = support.y[told.left_out]
    answer = calibrated(told.answers, calibration)
    loss = answer.nll(y).mean().item()
    if isinstance(answer, Gaussian):
        deviation = (support.y - support.y.mean(0)).square().mean(0).sqrt().clamp(min=1e-12)
        return (loss - deviation.log().sum().item()) / y.shape[1]
    return loss


def _shown(score: float | None, task: Task) -> float | None:
    return None if score is None else float(f"{unscored(score, task):.3g}")

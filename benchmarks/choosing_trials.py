"""What learners, combinations and `auto` did on tasks: a part of `benchmarks.choosing`."""

import functools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from meta_core import auto
from meta_core.base import Base
from meta_core.calibration import calibrated, calibration_of
from meta_core.episodes import ClassSource, Size
from meta_core.errors import InvalidRequest
from meta_core.experience import Experience, experiences
from meta_core.learner import Learner
from meta_core.past_tasks import Source, unbalanced, usable_learners
from meta_core.quality import HeldOut, adapt_and_leave_out
from meta_core.selection import Selection, known_as, scored
from meta_core.task_features import task_features
from meta_core.types import Categorical, Episode, Prediction, Support, Task
from meta_core.widths import width_90

SHOTS = (1, 2, 5, 10, 20)
POINTS = (5, 10, 20, 40)
THREE: dict[Task, list[str]] = {"classification": ["ridge", "gp", "simpleshot"], "regression": ["ridge", "gp"]}
COMBINED = ("average", "stack")


@dataclass(frozen=True)
class Trial:
    """One task, embedded; what each learner did; and what combinations of three did."""

    source: Source
    shots: int
    even: bool
    episode: Episode
    shape: tuple[int, ...]
    found: list[Experience]
    combined: dict[str, tuple[HeldOut | None, Prediction]]


@dataclass(frozen=True)
class Said:
    """Answers of a learner to the queries of a task, and to its left out.

    `plain` are not calibrated, but for members of a stack; `raw` are not at all; `sure` are what is served.
    """

    learner: str
    plain: Prediction
    raw: Prediction
    sure: Prediction
    held_out: HeldOut | None
    calibration: float
    width: float


@functools.lru_cache(maxsize=16)
def usual(base: Base, task: Task, shape: tuple[int, ...]) -> dict[str, Learner]:
    """Every learner that is not chosen."""
    return usable_learners(base, task, shape, costly=False)


@functools.lru_cache(maxsize=32)
def built(base: Base, name: str, params: str, shape: tuple[int, ...], task: Task) -> Learner:
    """A learner by its name and parameters."""
    return base.learner_for(name, json.loads(params), shape, task)


@torch.no_grad()
def tried(source: Source, repeats: int) -> Iterator[Trial]:
    """Tasks of every size, even and uneven by turns."""
    rng = torch.Generator().manual_seed(0)
    regression = source.tasks.task == "regression"
    for number in range(repeats * 5):
        shots = (POINTS if regression else SHOTS)[number % (4 if regression else 5)]
        ways = 2 + int(torch.randint(9, (), generator=rng))
        if isinstance(source.tasks, ClassSource):
            ways = min(ways, len(source.tasks.members))
        even = regression or number // 5 % 2 == 0
        try:
            episode = source.tasks.draw(Size(ways=ways, shots=shots, queries=40 if regression else 10), rng)
        except InvalidRequest:
            continue
        if not even:
            episode = replace(episode, support=unbalanced(episode.support, rng))
        shape = source.shape or tuple(episode.x.shape[1:])
        usable = usual(source.base, episode.support.task, shape)
        found = list(experiences(episode, source.base, usable, dataset=source.dataset, number=number))
        members = THREE[episode.support.task]
        combined = {}
        for name in COMBINED:
            learner = built(source.base, name, json.dumps({"members": members}), shape, episode.support.task)
            state, held_out = adapt_and_leave_out(learner, episode.support)
            combined[name] = held_out, learner.predict(state, episode.x)
        yield Trial(source, shots, even, episode, shape, found, combined)


def fixed(trial: Trial, selection: Selection) -> dict[str, Said]:
    """Every learner that is not chosen, the base model's own as `own`."""
    task, base = trial.episode.support.task, trial.source.base
    own = known_as(base, base.spec.learners[task][0], task)
    found = {}
    for one in trial.found:
        found[one.learner] = calibrate(one.learner, one.asked[0], one.held_out, selection, trial.episode.support)
    found["own learner"] = found.pop(own) if own == "trained" else found[own]
    for name, (held_out, asked) in trial.combined.items():
        found[f"{name} of {len(THREE[task])}"] = calibrate("stack", asked, held_out, selection, trial.episode.support)
    return found


@torch.no_grad()
def chosen(trial: Trial, selection: Selection) -> Said:
    """What the service would answer."""
    base, support = trial.source.base, trial.episode.support

    def build(name: str, params: Mapping[str, Any]) -> Learner:
        return built(base, name, json.dumps(params), trial.shape, support.task)

    names = auto.candidates(base, support.task, auto.AutoConfig())
    choice = auto.choose(names, build, support, selection, base=base, budget_ms=auto.AutoConfig().budget_ms)
    learner = build(choice.learner, choice.params)
    state, held_out = choice.adapt(learner, support)
    name = known_as(base, choice.learner, support.task)
    said = calibrate(name, learner.predict(state, trial.episode.x), held_out, selection, support)
    if "calibrations" not in state:
        return said
    raw = learner.predict({**state, "calibrations": torch.ones_like(state["calibrations"])}, trial.episode.x)
    return replace(said, raw=raw)


def calibrate(name: str, plain: Prediction, held_out: HeldOut | None, selection: Selection, support: Support) -> Said:
    """As the engine does."""
    task = support.task
    usual = selection.calibration(task, name, task_features(support))
    calibration = calibration_of(*held_out, usual) if held_out else usual.untold
    width = width_90(held_out, calibration, selection.residuals(task, name)) if task == "regression" else math.nan
    return Said(name, plain, plain, calibrated(plain, calibration), held_out, calibration, width)


def score(said: Said, trial: Trial) -> float:
    """On the scale on which learners are compared; lower is better."""
    y, support = trial.episode.y, trial.episode.support
    loss = said.sure.nll(y).mean().item()
    if support.task == "regression":
        deviation = (support.y - support.y.mean(0)).square().mean(0).sqrt().clamp(min=1e-12)
        loss = (loss - deviation.log().sum().item()) / y.shape[1]
    return scored(loss, support.task)


def hits(prediction: Prediction, y: Tensor) -> Tensor:
    """Which queries are answered rightly, [Q]."""
    assert isinstance(prediction, Categorical)
    return (prediction.log_probabilities.argmax(-1) == y).double()

"""What to expect of each learner on a task, learned from experience with it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from meta_core.calibration import CANDIDATES, EVEN, CalibrationPrior, calibrated
from meta_core.experience import Experience
from meta_core.fusion import member_weights
from meta_core.pools import pools
from meta_core.selection import STACK, Expectation, Selection, scored
from meta_core.types import Gaussian, Task
from meta_core.usual_calibration import chosen_calibration, usual_calibration

NOISES = (10.0, 30.0, 100.0)
"""What is tried; a few dozen datasets do not tell more finely, nor further out."""
PENALTY = 10.0
"""Of the regression of losses on task features, in tasks."""
FOLDS = 5
"""Parts of the datasets that are held out in turn to learn how far to trust what is expected."""
LEVELS = 40
"""Quantiles that are kept of the residuals of a learner."""

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One task: by learner the score told by leaving one out, where that could be, and the true one."""

    dataset: str
    features: list[float]
    left_out: int
    told: dict[str, float]
    true: dict[str, float]


def learn(found: Sequence[Experience], provenance: dict[str, object]) -> Selection:
    """What to expect of each learner, and of the stacks that are made of them, from experience with the learners."""
    selection = Selection(
        expectations={"classification": {}, "regression": {}}, noise={}, centre={}, scale={}, provenance=provenance
    )
    tasks: tuple[Task, ...] = ("classification", "regression")
    for task in tasks:
        own = [one for one in found if one.task == task]
        if not own:
            continue
        features = np.array([one.features for one in own])
        selection.centre[task], selection.scale[task] = features.mean(0).tolist(), (features.std(0) + 1e-6).tolist()
        _expect(own, selection, task)
        selection.noise[task] = _noise(outcomes(own, selection), selection, task)
        _expect([*own, *pools(own, selection)], selection, task)
    return selection


def _expect(found: Sequence[Experience], selection: Selection, task: Task) -> None:
    """Put into a selection what is to be expected of each learner."""
    known = selection.expectations[task]
    by_learner = {name: [one for one in found if one.learner == name] for name in sorted({o.learner for o in found})}
    centre, scale = selection.centre[task], selection.scale[task]
    for name, some in by_learner.items():
        if name not in known:
            calibration, tilt = _usual(name, some, centre, scale)
            timed = [one for one in some if one.left_out]
            known[name] = Expectation(
                weights=[], cost=_cost(timed), calibration=calibration, tilt=tilt, tasks=len(some)
            )
    weights = expected_scores(outcomes(found, selection), centre, scale)
    for name, some in by_learner.items():
        known[name] = replace(known[name], weights=weights[name], residuals=_residuals(some, selection))


def _usual(
    name: str, some: Sequence[Experience], centre: list[float], scale: list[float]
) -> tuple[CalibrationPrior, list[float]]:
    """Of stacks for targets the left out tell more than past tasks do."""
    if name == STACK and some[0].task == "regression":
        return EVEN, []
    return usual_calibration(some, centre, scale)


def outcomes(found: Iterable[Experience], selection: Selection) -> list[Outcome]:
    """What became of each task under what is believed of calibrations."""
    by_task: dict[tuple[str, int], Outcome] = {}
    for one in found:
        chosen = chosen_calibration(one, _belief(one, selection))
        empty = Outcome(dataset=one.dataset, features=one.features, left_out=0, told={}, true={})
        outcome = by_task.get((one.dataset, one.number), empty)
        outcome.true[one.learner] = scored(one.true[chosen].item(), one.task)
        if one.left_out:
            outcome.told[one.learner] = scored(one.told[chosen].item() / one.left_out, one.task)
        most = max(outcome.left_out, one.left_out)
        by_task[one.dataset, one.number] = replace(outcome, left_out=most)
    return list(by_task.values())


def expected_scores(past: Sequence[Outcome], centre: list[float], scale: list[float]) -> dict[str, list[float]]:
    """Weights of the expected score of every learner.

    The level of a task, the mean over the learners that nearly all tasks know, is regressed apart from how far above
    it a learner is: so one tried on few tasks is not taken for good because those were easy.
    """
    names = sorted({name for one in past for name in one.true})
    often = [name for name in names if sum(name in one.true for one in past) > 0.9 * len(past)]
    levels = np.array([np.mean([one.true[n] for n in often if n in one.true] or [*one.true.values()]) for one in past])
    features = (np.array([one.features for one in past]) - centre) / scale
    level = np.array(_ridge(features, levels, PENALTY))
    weights = {}
    for name in names:
        rows = [i for i, one in enumerate(past) if name in one.true]
        above = np.array([past[i].true[name] for i in rows]) - levels[rows]
        weights[name] = [float(f"{w:.5g}") for w in level + _ridge(features[rows], above, PENALTY)]
    return weights


def _noise(past: Sequence[Outcome], selection: Selection, task: Task) -> float:
    """How many left-out examples say as much as the expectation, on datasets of which that knows nothing.

    Under it, those that would answer together are the least above the best.
    """
    centre, scale = selection.centre[task], selection.scale[task]
    datasets = sorted({one.dataset for one in past})
    trials: list[tuple[Outcome, dict[str, float]]] = []
    for fold in range(min(FOLDS, len(datasets))):
        held = set(datasets[fold::FOLDS])
        others = [one for one in past if one.dataset not in held] or past
        weights = expected_scores(others, centre, scale)
        for one in past:
            told = [name for name in one.told if name in weights]
            if one.dataset in held and len(told) > 1:
                standard = [*((np.array(one.features) - centre) / scale), 1.0]
                trials.append((one, {name: float(np.dot(weights[name], standard)) for name in told}))

    def regret(noise: float) -> float:
        trial = Selection(expectations={}, noise={task: noise}, centre={}, scale={})
        total = 0.0
        for one, prior in trials:
            combined = trial.combined(task, prior, {name: one.told[name] for name in prior}, one.left_out)
            weights = member_weights(combined, task)
            total += sum(w * one.true[name] for name, w in weights.items()) - min(one.true[name] for name in prior)
        return total

    return min(NOISES, key=regret) if trials else 10.0


def _cost(timed: Sequence[Experience]) -> list[float]:
    if not timed:
        return [0.0, 0.0, 0.0, 0.0]
    times = np.log(np.array([max(one.milliseconds, 0.01) for one in timed]))
    return _ridge(np.array([one.features[:3] for one in timed]), times, 1.0)


def _residuals(own: Sequence[Experience], selection: Selection) -> list[float]:
    """Quantiles, at even levels, of the calibrated standardised residuals of the queries of all tasks."""
    found = []
    for one in own:
        answer, y = (
            calibrated(one.asked[0], CANDIDATES[chosen_calibration(one, _belief(one, selection))].item()),
            one.asked[1],
        )
        if isinstance(answer, Gaussian):
            found.append(((y - answer.mean).abs() / answer.variance.sqrt()).flatten().double())
    if not found:
        return []
    levels = (torch.arange(LEVELS, dtype=torch.float64) + 0.5) / LEVELS
    return [float(f"{value:.4g}") for value in torch.cat(found).quantile(levels).tolist()]


def _ridge(x: Array, y: Array, penalty: float) -> list[float]:
    """Weights of the columns and, not penalised, of a constant."""
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    penalties = np.diag([penalty] * (x.shape[1] - 1) + [1e-6])
    weights: list[float] = [float(f"{w:.5g}") for w in np.linalg.solve(x.T @ x + penalties, x.T @ y)]
    return weights


def _belief(one: Experience, selection: Selection) -> CalibrationPrior:
    return selection.calibration(one.task, one.learner, one.features)

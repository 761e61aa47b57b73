"""Experience with learners: what leaving one out said on past tasks, and what became of it."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meta_core.base import Base
from meta_core.calibration import (
    CANDIDATES,
    CalibrationPrior,
    calibrated,
    likeliest,
    sharpness_curve,
)
from meta_core.fusion import member_weights
from meta_core.learner import Learner
from meta_core.quality import adapt_and_leave_out
from meta_core.selection import Expectation, Selection, known_as, scored, tilted
from meta_core.task_features import task_features
from meta_core.types import Categorical, Episode, Gaussian, Prediction, Support, Task

CENTRES = torch.logspace(-1.5, 1.5, 31).tolist()
BELIEFS = (1.0, 3.0, 10.0, 30.0, 100.0)
NOISES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
PENALTY = 10.0
"""Of the regression of losses on task features, in tasks."""
TILT_PENALTY = 3.0
"""Of the squared weights of the features of a task in its usual calibration, in nats."""
FEWEST_DATASETS = 8
"""On which a learner has to be known for its usual calibration to follow the features of a task."""
FOLDS = 5
"""Parts of the datasets that are held out in turn to learn how far to trust what is expected."""
LEVELS = 40
"""Quantiles that are kept of the residuals of a learner."""

Array = NDArray[np.float64]
Usual = Mapping[str, tuple[CalibrationPrior, list[float]]]
"""Of each learner the belief about the calibration on an average task, and its tilt."""


@dataclass(frozen=True, kw_only=True)
class Experience:
    """One learner on one task.

    `told` and `true` are the negative log-likelihood of the left-out examples, summed, and of the queries, a mean, at
    each of the `CANDIDATES` for the calibration, [K]; `told` is empty when nothing could be left out. `held_out` and
    `asked` are the answers themselves, not calibrated, and the truth.
    """

    dataset: str
    number: int
    task: Task
    learner: str
    features: list[float]
    left_out: int
    told: Tensor
    true: Tensor
    held_out: tuple[Prediction, Tensor] | None
    asked: tuple[Prediction, Tensor]
    milliseconds: float


Belief = Callable[[Experience], CalibrationPrior]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One task: by learner the score told by leaving one out, where that could be, and the true one."""

    dataset: str
    features: list[float]
    left_out: int
    told: dict[str, float]
    true: dict[str, float]


def experiences(
    episode: Episode,
    base: Base,
    usable: Mapping[str, Learner],
    *,
    dataset: str,
    number: int,
) -> Iterator[Experience]:
    """How each learner does on an encoded episode."""
    support = episode.support
    features = task_features(support)
    for name, learner in usable.items():
        started = time.thread_time()
        state, held_out = adapt_and_leave_out(learner, support)
        spent = 1000 * (time.thread_time() - started)
        asked = learner.predict(state, episode.x)
        yield Experience(
            dataset=dataset,
            number=number,
            task=support.task,
            learner=known_as(base, name, support.task),
            features=features,
            left_out=len(held_out[1]) if held_out else 0,
            told=_curve(*held_out, support) if held_out else torch.empty(0),
            true=_curve(asked, episode.y, support) / len(episode.y),
            held_out=held_out,
            asked=(asked, episode.y),
            milliseconds=spent,
        )


def _curve(prediction: Prediction, y: Tensor, support: Support) -> Tensor:
    """Negative log-likelihood at each calibration, [K], summed over examples; of targets in their own deviations."""
    if isinstance(prediction, Categorical):
        return sharpness_curve(prediction, y).double()
    assert isinstance(prediction, Gaussian)
    deviation = (support.y - support.y.mean(0)).square().mean(0).sqrt().clamp(min=1e-12)  # [T]
    variance = (prediction.variance / deviation.square()).double()
    squared = ((y - prediction.mean) / deviation).double().square() / variance  # [Q, T]
    factors = CANDIDATES.double()[:, None, None]
    terms = 0.5 * (squared / factors + (factors * variance).log() + math.log(2 * math.pi))
    return terms.mean(-1).sum(-1)


def learn(found: Sequence[Experience], provenance: dict[str, object]) -> Selection:
    """What to expect of each learner, from experience with it."""
    expectations: dict[str, dict[str, Expectation]] = {"classification": {}, "regression": {}}
    noise: dict[str, float] = {}
    centre: dict[str, list[float]] = {}
    scale: dict[str, list[float]] = {}
    tasks: tuple[Task, ...] = ("classification", "regression")
    for task in tasks:
        own = [one for one in found if one.task == task]
        features = np.array([one.features for one in own])
        centre[task], scale[task] = features.mean(0).tolist(), (features.std(0) + 1e-6).tolist()
        by_learner = {name: [one for one in own if one.learner == name] for name in sorted({o.learner for o in own})}
        usual = {name: _usual(some, centre[task], scale[task]) for name, some in by_learner.items()}

        def belief(one: Experience, task: Task = task, usual: Usual = usual) -> CalibrationPrior:
            return tilted(*usual[one.learner], _standard(one.features, centre[task], scale[task]))

        past = outcomes(own, belief)
        weights = expected_scores(past, centre[task], scale[task])
        for name, some in by_learner.items():
            expectations[task][name] = Expectation(
                weights=weights[name],
                cost=_cost([one for one in some if one.left_out]),
                calibration=usual[name][0],
                tilt=usual[name][1],
                tasks=len(some),
                residuals=_residuals(some, belief),
            )
        noise[task] = _noise(past, centre[task], scale[task], task)
    return Selection(expectations=expectations, noise=noise, centre=centre, scale=scale, provenance=provenance)


def outcomes(found: Iterable[Experience], belief: Belief) -> list[Outcome]:
    """What became of each task under what is believed of calibrations."""
    by_task: dict[tuple[str, int], Outcome] = {}
    for one in found:
        chosen = _chosen(one, belief(one))
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


def _noise(past: Sequence[Outcome], centre: list[float], scale: list[float], task: Task) -> float:
    """How many left-out examples say as much as the expectation, on datasets of which that knows nothing.

    Under it, those that would answer together are the least above the best.
    """
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


def _residuals(own: Sequence[Experience], belief: Belief) -> list[float]:
    """Quantiles, at even levels, of the calibrated standardised residuals of the queries of all tasks."""
    found = []
    for one in own:
        answer, y = calibrated(one.asked[0], CANDIDATES[_chosen(one, belief(one))].item()), one.asked[1]
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


def _usual(own: Sequence[Experience], centre: list[float], scale: list[float]) -> tuple[CalibrationPrior, list[float]]:
    """The belief under which calibrated answers to queries were best; of classes, with its tilt by the features."""
    if own[0].task == "regression":  # few datasets, of heavy tails
        return _calibration(own, CENTRES), []
    features = torch.tensor([_standard(one.features, centre, scale) for one in own], dtype=torch.float64)
    if len({one.dataset for one in own}) < FEWEST_DATASETS:
        return _calibration(own, CENTRES), []
    *tilt, constant = _tilt(features, torch.stack([one.true for one in own]).clamp(max=10.0))
    return _calibration(own, [math.exp(constant)], tilt, features.tolist()), tilt


def _tilt(features: Tensor, losses: Tensor) -> list[float]:
    """Weights of features [T, F] and a constant that give the log of the sharpness with the least `losses` [T, K]."""
    grid = CANDIDATES.double().log()
    x = torch.cat([features, torch.ones(len(features), 1).to(features)], -1)
    weights = torch.zeros(x.shape[1], dtype=torch.float64)
    weights[-1] = grid[losses.mean(0).argmin()]
    weights.requires_grad_()
    optimiser = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        place = ((x @ weights - grid[0]) / (grid[1] - grid[0])).clamp(0, len(grid) - 1.001)  # [T]
        below = place.detach().floor().long()
        left, right = (losses.gather(1, (below + i)[:, None]).squeeze(1) for i in (0, 1))
        share = place - below
        total = (left * (1 - share) + right * share).sum() + 0.5 * TILT_PENALTY * weights[:-1].square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.enable_grad():
        optimiser.step(loss)  # type: ignore[no-untyped-call]
    return [float(f"{w:.4g}") for w in weights.tolist()]


def _calibration(
    own: Sequence[Experience],
    centres: Sequence[float],
    tilt: Sequence[float] = (),
    standard: Sequence[Sequence[float]] | None = None,
) -> CalibrationPrior:
    """The prior, of those with these centres, under which calibrated answers to queries were best."""
    left_out = [one for one in own if one.left_out]
    alone = [one for one in own if not one.left_out]
    middle = len(CANDIDATES) // 2
    untold = torch.stack([one.true.clamp(max=10.0) for one in alone]).mean(0).argmin().item() if alone else middle
    known = CalibrationPrior(centre=centres[0], untold=float(f"{CANDIDATES[int(untold)].item():.4g}"))
    if not left_out:
        return known
    features = [f for one, f in zip(own, standard or [()] * len(own), strict=True) if one.left_out]
    true = torch.stack([one.true.clamp(max=10.0) for one in left_out])  # [T, K]
    priors = [replace(known, centre=float(f"{c:.4g}"), examples=b) for c in centres for b in BELIEFS]

    def loss(prior: CalibrationPrior) -> float:
        if not tilt:
            return true.gather(1, _all_chosen(left_out, prior)[:, None]).mean().item()
        chosen = [_chosen(one, tilted(prior, tilt, f)) for one, f in zip(left_out, features, strict=True)]
        return true.gather(1, torch.tensor(chosen)[:, None]).mean().item()

    return min(priors, key=loss)


def _standard(features: Sequence[float], centre: Sequence[float], scale: Sequence[float]) -> list[float]:
    return [(f - c) / s for f, c, s in zip(features, centre, scale, strict=True)]


def _chosen(one: Experience, prior: CalibrationPrior) -> int:
    """Which of `CANDIDATES` calibrates this task."""
    return int(_all_chosen([one], prior)) if one.left_out else nearest(prior.untold)


def _all_chosen(some: Sequence[Experience], prior: CalibrationPrior) -> Tensor:
    """Which of `CANDIDATES` calibrates each of several tasks of one kind, whose examples were left out, [T]."""
    told = torch.stack([one.told for one in some])  # [T, K]
    if some[0].task == "classification":
        return likeliest(told, prior)
    # mean of z²/2f + log(f)/2: the curve's value at two factors tells the mean of z², from which the factor follows
    n = torch.tensor([one.left_out for one in some], dtype=torch.float64)
    f, g = CANDIDATES[0].item(), CANDIDATES[-1].item()
    squared = 2 * ((told[:, 0] - told[:, -1]) / n + 0.5 * math.log(g / f)) / (1 / f - 1 / g)
    factor = (n * squared + prior.examples * prior.centre) / (n + prior.examples)
    return (CANDIDATES.log() - factor.clamp(min=1e-9).log()[:, None]).abs().argmin(-1)


def nearest(calibration: float) -> int:
    """The index of the closest of `CANDIDATES`."""
    return int((CANDIDATES.log() - math.log(max(calibration, 1e-9))).abs().argmin())

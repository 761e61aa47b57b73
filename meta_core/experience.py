"""Experience with learners: what leaving one out said on past tasks, and what became of it."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meta_core.calibration import CANDIDATES, CalibrationPrior, likeliest_sharpness, sharpness_curve
from meta_core.learner import Learner
from meta_core.members import Combination, member_names
from meta_core.quality import sparable
from meta_core.selection import Expectation, Selection, scored
from meta_core.task_features import task_features
from meta_core.types import Categorical, Episode, Gaussian, Prediction, Support, Task

CENTRES = torch.logspace(-0.6, 0.6, 13).tolist()
BELIEFS = (1.0, 3.0, 10.0, 30.0, 100.0)
NOISES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
PENALTY = 10.0
"""Of the regression of losses on task features, in tasks."""

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Experience:
    """One learner on one task.

    `told` and `true` are the negative log-likelihood of the left-out examples, summed, and of the queries, a mean, at
    each of the `CANDIDATES` for the calibration, [K]; `told` is empty when nothing could be left out.
    """

    dataset: str
    number: int
    task: Task
    learner: str
    features: list[float]
    left_out: int
    told: Tensor
    true: Tensor
    milliseconds: float


def experiences(
    dataset: str, number: int, modality: str, episode: Episode, learners: Mapping[str, Learner]
) -> Iterator[Experience]:
    """How each learner does on an encoded episode. Members come before their combinations in `learners`."""
    support = episode.support
    features = task_features(support, modality)
    known: dict[str, Prediction] = {}
    for name, learner in learners.items():
        started = time.perf_counter()
        left_out = sparable(support, learner.most_left_out)
        answers = told_by(learner, support, left_out, known) if len(left_out) else None
        spent = 1000 * (time.perf_counter() - started)
        if answers is not None:
            known[name] = answers
        asked = learner.predict(learner.adapt(support), episode.x)
        yield Experience(
            dataset=dataset,
            number=number,
            task=support.task,
            learner=name,
            features=features,
            left_out=len(left_out),
            told=_curve(answers, support.y[left_out], support) if answers is not None else torch.empty(0),
            true=_curve(asked, episode.y, support) / len(episode.y),
            milliseconds=spent,
        )


def told_by(learner: Learner, support: Support, left_out: Tensor, known: Mapping[str, Prediction]) -> Prediction:
    """What a learner says to the left out; a combination from what its members said, where that is known."""
    answers = of_members(learner, len(left_out), known)
    if isinstance(learner, Combination) and answers:
        return learner.left_out_from(answers, support.y[left_out])
    return learner.leave_one_out(support, left_out)


def of_members(learner: Learner, left_out: int, known: Mapping[str, Prediction]) -> list[Prediction]:
    """The members' answers to the left out; none where one is not known, or the learner has no members."""
    if not isinstance(learner, Combination):
        return []
    members = [known.get(name or "") for name in member_names(learner)]
    answers = [answer for answer in members if answer is not None and len(answer) == left_out]
    return answers if len(answers) == len(members) else []


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
    expectations: dict[str, dict[str, Expectation]] = {}
    noise: dict[str, float] = {}
    centre: dict[str, list[float]] = {}
    scale: dict[str, list[float]] = {}
    tasks: tuple[Task, ...] = ("classification", "regression")
    for task in tasks:
        own = [one for one in found if one.task == task]
        features = np.array([one.features for one in own])
        centre[task], scale[task] = features.mean(0).tolist(), (features.std(0) + 1e-6).tolist()
        expectations[task] = {
            name: _expectation([one for one in own if one.learner == name], centre[task], scale[task])
            for name in sorted({one.learner for one in own})
        }
        noise[task] = 10.0
    made = Selection(expectations=expectations, noise=noise, centre=centre, scale=scale, provenance=provenance)
    for task in tasks:
        noise[task] = min(NOISES, key=lambda n, t=task: _mean_regret(made, t, found, n))  # type: ignore[misc]
    return made


def outcomes(
    found: Iterable[Experience], selection: Selection
) -> dict[tuple[str, int], dict[str, tuple[Experience, float, float]]]:
    """By task and learner: the experience, the score told by leaving one out (nan: none), and the true score."""
    by_task: dict[tuple[str, int], dict[str, tuple[Experience, float, float]]] = {}
    for one in found:
        prior = selection.calibration(one.task, one.learner)
        chosen = _chosen(one, prior)
        told = scored(one.told[chosen].item() / one.left_out, one.task) if one.left_out else math.nan
        true = scored(one.true[chosen].item(), one.task)
        by_task.setdefault((one.dataset, one.number), {})[one.learner] = (one, told, true)
    return by_task


def _mean_regret(selection: Selection, task: Task, found: Sequence[Experience], noise: float) -> float:
    trial = Selection(**{**vars(selection), "noise": {**selection.noise, task: noise}})
    regrets = []
    for by_learner in outcomes([one for one in found if one.task == task], selection).values():
        first = next(iter(by_learner.values()))[0]
        told = {name: told for name, (_, told, _) in by_learner.items() if not math.isnan(told)}
        combined = trial.combined(task, trial.prior(task, first.features), told, first.left_out)
        usable = {name: value for name, value in combined.items() if name in by_learner}
        truths = {name: true for name, (_, _, true) in by_learner.items()}
        regrets.append(truths[min(usable, key=usable.__getitem__)] - min(truths.values()))
    return sum(regrets) / max(len(regrets), 1)


def _expectation(own: list[Experience], centre: list[float], scale: list[float]) -> Expectation:
    calibration = _calibration(own)
    features = (np.array([one.features for one in own]) - centre) / scale
    truths = np.array([scored(one.true[_chosen(one, calibration)].item(), one.task) for one in own])
    timed = [one for one in own if one.left_out]
    sizes = np.array([one.features[:3] for one in timed])
    times = np.log(np.array([max(one.milliseconds, 0.01) for one in timed]))
    return Expectation(
        weights=_ridge(features, truths, PENALTY),
        cost=_ridge(sizes, times, 1.0) if timed else [0.0, 0.0, 0.0, 0.0],
        calibration=calibration,
        tasks=len(own),
    )


def _ridge(x: Array, y: Array, penalty: float) -> list[float]:
    """Weights of the columns and, not penalised, of a constant."""
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    penalties = np.diag([penalty] * (x.shape[1] - 1) + [1e-6])
    weights: list[float] = [float(f"{w:.5g}") for w in np.linalg.solve(x.T @ x + penalties, x.T @ y)]
    return weights


def _calibration(own: list[Experience]) -> CalibrationPrior:
    """The prior under which calibrated answers to queries were best."""
    left_out = [one for one in own if one.left_out]
    alone = [one for one in own if not one.left_out]
    untold = (
        torch.stack([one.true.clamp(max=10.0) for one in alone]).mean(0).argmin() if alone else len(CANDIDATES) // 2
    )
    priors = [
        CalibrationPrior(centre=c, examples=b, untold=CANDIDATES[untold].item()) for c in CENTRES for b in BELIEFS
    ]

    def loss(prior: CalibrationPrior) -> float:
        return sum(one.true.clamp(max=10.0)[_chosen(one, prior)].item() for one in left_out)

    best = min(priors, key=loss)
    return CalibrationPrior(**{name: float(f"{value:.4g}") for name, value in vars(best).items()})


def _chosen(one: Experience, prior: CalibrationPrior) -> int:
    """Which of `CANDIDATES` calibrates this task."""
    if not one.left_out:
        return nearest(prior.untold)
    if one.task == "classification":
        return nearest(likeliest_sharpness(one.told, prior))
    # mean of z²/2f + log(f)/2: the curve's value at two factors tells the mean of z², from which the factor follows
    low, high = one.told[0].item() / one.left_out, one.told[-1].item() / one.left_out
    f, g = CANDIDATES[0].item(), CANDIDATES[-1].item()
    squared = 2 * (low - high + 0.5 * math.log(g / f)) / (1 / f - 1 / g)
    factor = (one.left_out * squared + prior.examples * prior.centre) / (one.left_out + prior.examples)
    return nearest(factor)


def nearest(calibration: float) -> int:
    """The index of the closest of `CANDIDATES`."""
    return int((CANDIDATES.log() - math.log(max(calibration, 1e-9))).abs().argmin())

"""Experience with learners: what leaving one out said on past tasks, and what became of it."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from meta_core.base import Base
from meta_core.calibration import CANDIDATES, sharpness_curve
from meta_core.learner import Learner
from meta_core.quality import adapt_and_leave_out
from meta_core.selection import known_as
from meta_core.task_features import task_features
from meta_core.types import Categorical, Episode, Gaussian, Prediction, Task


@dataclass(frozen=True, kw_only=True)
class Experience:
    """One learner on one task.

    `told` and `true` are the negative log-likelihood of the left-out examples, summed, and of the queries, a mean, at
    each of the `CANDIDATES` for the calibration, [K]; `told` is empty when nothing could be left out. `held_out` and
    `asked` are the answers themselves, not calibrated, and the truth. `unit` [T] is what targets are counted in, their
    deviations in the support.
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
    unit: Tensor = field(default_factory=lambda: torch.ones(1))


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
    unit = torch.ones(1)
    if support.task == "regression":
        unit = (support.y - support.y.mean(0)).square().mean(0).sqrt().clamp(min=1e-12)
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
            told=loss_curve(*held_out, unit) if held_out else torch.empty(0),
            true=loss_curve(asked, episode.y, unit) / len(episode.y),
            held_out=held_out,
            asked=(asked, episode.y),
            milliseconds=spent,
            unit=unit,
        )


def loss_curve(prediction: Prediction, y: Tensor, unit: Tensor) -> Tensor:
    """Negative log-likelihood at each calibration, [K], summed over examples; of targets in units [T]."""
    if isinstance(prediction, Categorical):
        return sharpness_curve(prediction, y).double()
    assert isinstance(prediction, Gaussian)
    variance = (prediction.variance / unit.square()).double()
    squared = ((y - prediction.mean) / unit).double().square() / variance  # [Q, T]
    factors = CANDIDATES.double()[:, None, None]
    terms = 0.5 * (squared / factors + (factors * variance).log() + math.log(2 * math.pi))
    return terms.mean(-1).sum(-1)

"""What several learners said of the examples left out, put together."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, searchsorted, tensor

from meta_core.base import Base
from meta_core.calibration import calibrated
from meta_core.learner import learners
from meta_core.members import mixed
from meta_core.selection import STACK
from meta_core.types import Categorical, Gaussian, Prediction, State, Task

MOST_MEMBERS = 3
SPREAD: dict[Task, float] = {"classification": 0.4, "regression": 0.4}
"""How much worse, on the scale of scores, a member is that weighs 1/e of the best."""
LEAST_WEIGHT = 0.05
"""Below which a member is not worth its computation."""


class Told(NamedTuple):
    """Answers to the support examples at `left_out` [M], ascending, each from all the others.

    And the state that all of them teach, where it came with the answers, and how long that took ahead of the choice.
    """

    left_out: Tensor
    answers: Prediction
    state: State | None = None
    milliseconds: float = 0.0


class Member(NamedTuple):
    """What it told, how that is calibrated, and what it weighs."""

    told: Told
    calibration: float
    weight: float


def stack_params(base: Base, names: Iterable[str], task: Task) -> dict[str, Any]:
    """Complete parameters of the stack of some learners, each as a base model has it."""
    members = [{"learner": name, "params": base.params_of(name, task)} for name in names]
    return learners[STACK].Config.parse({"members": members}, STACK).model_dump(mode="json")


def member_weights(scores: Mapping[str, float], task: Task) -> dict[str, float]:
    """The learners worth stacking by their scores, lower being better, and their weights, which sum to 1."""
    best = sorted(scores, key=scores.__getitem__)[:MOST_MEMBERS]
    raw = {name: math.exp((scores[best[0]] - scores[name]) / SPREAD[task]) for name in best}
    kept = {name: weight for name, weight in raw.items() if weight >= LEAST_WEIGHT * sum(raw.values())}
    return {name: round(weight / sum(kept.values()), 4) for name, weight in kept.items()}


def together(members: Sequence[Member]) -> Told:
    """What a stack says of the examples that all of its members told of."""
    fewest = min((member.told.left_out for member in members), key=len)
    answers = [
        calibrated(answer, member.calibration)
        for answer, member in zip(common([m.told for m in members], fewest), members, strict=True)
    ]
    return Told(fewest, mixed(answers, tensor([member.weight for member in members])))


def common(told: Sequence[Told], left_out: Tensor) -> list[Prediction]:
    """The answers to some of the examples left out, of each."""
    return [_rows(one.answers, searchsorted(one.left_out, left_out)) for one in told]


def _rows(prediction: Prediction, rows: Tensor) -> Prediction:
    if isinstance(prediction, Categorical):
        return Categorical(prediction.log_probabilities[rows])
    return Gaussian(prediction.mean[rows], prediction.variance[rows])

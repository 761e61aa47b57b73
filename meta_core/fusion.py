"""What several learners said of the examples left out, put together."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, searchsorted

from meta_core.base import Base
from meta_core.learner import learners
from meta_core.members import Combination
from meta_core.selection import STACK
from meta_core.types import Categorical, Gaussian, Prediction, Support, Task

MOST_MEMBERS = 3


class Told(NamedTuple):
    """Answers to the support examples at `left_out` [M], ascending, each from all the others."""

    left_out: Tensor
    answers: Prediction


def stack_params(base: Base, names: Sequence[str], task: Task) -> dict[str, Any]:
    """Complete parameters of the stack of some learners, each as a base model has it."""
    members = [{"learner": name, "params": base.params_of(name, task)} for name in names]
    return learners[STACK].Config.parse({"members": members}, STACK).model_dump(mode="json")


def best_members(losses: Mapping[str, float]) -> list[str]:
    """The names to be stacked."""
    return sorted(losses, key=losses.__getitem__)[:MOST_MEMBERS]


def together(combination: Combination, support: Support, told: Sequence[Told]) -> Told:
    """What a combination says of the examples that all of its members told of."""
    fewest = min((one.left_out for one in told), key=len)
    answers = common(told, fewest)
    return Told(fewest, combination.left_out_from(answers, support.y[fewest]))


def common(told: Sequence[Told], left_out: Tensor) -> list[Prediction]:
    """The answers to some of the examples left out, of each."""
    return [_rows(one.answers, searchsorted(one.left_out, left_out)) for one in told]


def _rows(prediction: Prediction, rows: Tensor) -> Prediction:
    if isinstance(prediction, Categorical):
        return Categorical(prediction.log_probabilities[rows])
    return Gaussian(prediction.mean[rows], prediction.variance[rows])

"""Many tasks in one pass: their inputs encoded, and their queries answered by the heads of one learner."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from meta_core.calibration import calibrated
from meta_core.grouping import groups
from meta_core.learner import Learner
from meta_core.members import Combination
from meta_core.transfer import sent
from meta_core.types import Categorical, Gaussian, Prediction, State

FEW, SMALL = 8, 1 << 16
"""Queries up to which it costs less to pad them than to answer another stack, by states of up to so many numbers."""


def encode_together(learner: Learner, inputs: Sequence[Tensor], device: torch.device) -> Sequence[Tensor]:
    """Embeddings of each of several inputs [Q_i, *shape], sent to the device and encoded in one pass over all."""
    return torch.split(learner.encode(sent(torch.cat(list(inputs)), device)), [len(part) for part in inputs])


@dataclass(frozen=True)
class Stack:
    """The answers of M tasks at once: `encoded` queries [M, Q, …] and `prediction` [M, Q, …].

    `tasks` are their places among those asked, `sizes` the numbers of their queries; what is beyond is padding.
    """

    tasks: list[int]
    sizes: list[int]
    encoded: Tensor
    prediction: Prediction


def predict_stacked(
    learner: Learner, states: Sequence[State], queries: Sequence[Tensor], calibrations: Sequence[float]
) -> Iterator[Stack]:
    """Calibrated answers of each state to its own encoded queries [Q_i, D].

    States of the same shapes are stacked and answer at once where the learner broadcasts.
    """
    if isinstance(learner, Combination) or not learner.broadcasts:
        answers = _one_by_one(learner, states, queries)
        for i, (answer, z, c) in enumerate(zip(answers, queries, calibrations, strict=True)):
            yield Stack([i], [len(z)], z[None], _stacked(calibrated(answer, c)))
        return
    for alike in groups(_likeness(state, z) for state, z in zip(states, queries, strict=True)).values():
        stacked = {name: torch.stack([states[i][name] for i in alike]) for name in states[alike[0]]}
        sizes = [queries[i].shape[0] for i in alike]
        padded = pad_sequence([queries[i] for i in alike], batch_first=True)  # [M, Q, D]
        calibration = torch.tensor([calibrations[i] for i in alike]).to(padded)[:, None, None]  # [M, 1, 1]
        yield Stack(alike, sizes, padded, calibrated(learner.predict(stacked, padded), calibration))


def predict_together(
    learner: Learner, states: Sequence[State], queries: Sequence[Tensor], calibrations: Sequence[float]
) -> list[Prediction]:
    """The same task by task."""
    predictions: dict[int, Prediction] = {}
    for stack in predict_stacked(learner, states, queries, calibrations):
        for row, (i, size) in enumerate(zip(stack.tasks, stack.sizes, strict=True)):
            predictions[i] = _of_one(stack.prediction, row, size)
    return [predictions[i] for i in range(len(states))]


def _one_by_one(learner: Learner, states: Sequence[State], queries: Sequence[Tensor]) -> Iterator[Prediction]:
    if isinstance(learner, Combination):
        return _mixed_together(learner, states, queries)
    return (learner.predict(state, z) for state, z in zip(states, queries, strict=True))


def _mixed_together(
    combination: Combination, states: Sequence[State], queries: Sequence[Tensor]
) -> Iterator[Prediction]:
    """Each member answers all tasks together."""
    own = [combination.states_of(state) for state in states]
    seen = [combination.seen(z) for z in queries]
    answers = [
        predict_together(member, [parts[k] for parts in own], [parts[k] for parts in seen], [1.0] * len(states))
        for k, member in enumerate(combination.each())
    ]
    return (combination.mix(state, said) for state, said in zip(states, zip(*answers, strict=True), strict=True))


def _likeness(state: State, z: Tensor) -> Hashable:
    """The same for states of the same shapes with few queries, or of which none has more than twice another's."""
    size = z.shape[0]
    if size < FEW and sum([value.numel() for value in state.values()]) <= SMALL:
        size = FEW
    return tuple([(name, value.shape) for name, value in state.items()]), (size - 1).bit_length()


def _stacked(prediction: Prediction) -> Prediction:
    """That of one task as that of several."""
    if isinstance(prediction, Categorical):
        return Categorical(prediction.log_probabilities[None])
    return Gaussian(prediction.mean[None], prediction.variance[None])


def _of_one(together: Prediction, row: int, queries: int) -> Prediction:
    if isinstance(together, Categorical):
        return Categorical(together.log_probabilities[row, :queries])
    return Gaussian(together.mean[row, :queries], together.variance[row, :queries])

"""Many tasks in one pass: their inputs encoded, and their queries answered by the heads of one learner."""

from collections import defaultdict
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from meta_core.calibration import calibrated
from meta_core.learner import Learner
from meta_core.members import Combination
from meta_core.types import Categorical, Gaussian, Prediction, State


def encode_together(learner: Learner, inputs: Sequence[Tensor], device: torch.device) -> Sequence[Tensor]:
    """Embeddings of each of several inputs [Q_i, *shape], sent to the device and encoded in one pass over all."""
    x = torch.cat(list(inputs))
    if device.type == "cuda":
        x = x.pin_memory()  # the copy then overlaps with what the GPU still does
    return torch.split(learner.encode(x.to(device, non_blocking=True)), [len(part) for part in inputs])


def predict_together(
    learner: Learner, states: Sequence[State], queries: Sequence[Tensor], calibrations: Sequence[float]
) -> list[Prediction]:
    """Calibrated answers of each state to its own encoded queries [Q_i, D].

    States of the same shapes are stacked and answer at once where the learner broadcasts. Queries are padded to the
    longest of a stack, of which none is longer than twice another.
    """
    if isinstance(learner, Combination):
        return _mixed_together(learner, states, queries, calibrations)
    if not learner.broadcasts:
        answers = (learner.predict(state, z) for state, z in zip(states, queries, strict=True))
        return [calibrated(answer, c) for answer, c in zip(answers, calibrations, strict=True)]
    predictions: dict[int, Prediction] = {}
    for alike in _alike(states, queries):
        stacked = {name: torch.stack([states[i][name] for i in alike]) for name in states[alike[0]]}
        padded = pad_sequence([queries[i] for i in alike], batch_first=True)  # [M, Q, D]
        calibration = torch.tensor([calibrations[i] for i in alike])[:, None, None].to(padded)  # [M, 1, 1]
        together = calibrated(learner.predict(stacked, padded), calibration)
        for row, i in enumerate(alike):
            predictions[i] = _of_one(together, row, len(queries[i]))
    return [predictions[i] for i in range(len(states))]


def _mixed_together(
    combination: Combination, states: Sequence[State], queries: Sequence[Tensor], calibrations: Sequence[float]
) -> list[Prediction]:
    """Each member answers all tasks together."""
    own = [combination.states_of(state) for state in states]
    seen = [combination.seen(z) for z in queries]
    answers = [
        predict_together(member, [parts[k] for parts in own], [parts[k] for parts in seen], [1.0] * len(states))
        for k, member in enumerate(combination.each())
    ]
    mixtures = (combination.mix(state, said) for state, said in zip(states, zip(*answers, strict=True), strict=True))
    return [calibrated(answer, c) for answer, c in zip(mixtures, calibrations, strict=True)]


def _alike(states: Sequence[State], queries: Sequence[Tensor]) -> list[list[int]]:
    """Positions of states of the same shapes with about as many queries."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for i, (state, z) in enumerate(zip(states, queries, strict=True)):
        groups[tuple((name, value.shape) for name, value in state.items()), (len(z) - 1).bit_length()].append(i)
    return list(groups.values())


def _of_one(together: Prediction, row: int, queries: int) -> Prediction:
    if isinstance(together, Categorical):
        return Categorical(together.log_probabilities[row, :queries])
    return Gaussian(together.mean[row, :queries], together.variance[row, :queries])

"""What predictions look like to those who asked: plain values, with the names of classes."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from meta_core.adapted import AdaptedModel
from meta_core.errors import InvalidExample
from meta_core.together import Stack
from meta_core.types import Categorical, Gaussian
from meta_core.unknown import unknown_of

Answer = dict[str, Any]


def answers_of(stack: Stack, models: Sequence[AdaptedModel]) -> list[list[Answer]]:
    """The answers to the queries of each model of a stack. Raises `InvalidExample` for one that is not finite."""
    if isinstance(stack.prediction, Gaussian):
        return _targets(stack.prediction, stack.sizes, models)
    rows = stack.prediction.log_probabilities.exp().tolist()  # [M, Q, C]
    answers = [
        [_class_answer(index, row, model) for index, row in enumerate(own[:size])]
        for own, size, model in zip(rows, stack.sizes, models, strict=True)
    ]
    _mark_unknown(stack, stack.prediction, models, answers)
    return answers


def _class_answer(index: int, row: list[float], model: AdaptedModel) -> Answer:
    _check_finite(index, row)
    highest = max(row)
    label = model.classes[row.index(highest)]
    return {"label": label, "probability": highest, "probabilities": dict(zip(model.class_names, row, strict=True))}


def _mark_unknown(
    stack: Stack, prediction: Categorical, models: Sequence[AdaptedModel], answers: list[list[Answer]]
) -> None:
    """Add to the answers of models that know their classes' means how likely each query is of none."""
    able = [(m, one.novelty, one.means) for m, one in enumerate(models) if one.novelty and one.means is not None]
    if not able:
        return
    where, novelties, means = zip(*able, strict=True)
    z, log_p = stack.encoded.flatten(2), prediction.log_probabilities
    if len(where) < len(models):
        z, log_p = z[list(where)], log_p[list(where)]
    rates = unknown_of(novelties, torch.stack(means).to(z), z, log_p).tolist()
    for m, row in zip(where, rates, strict=True):
        for answer, rate in zip(answers[m], row, strict=False):  # what is beyond is padding
            answer["unknown"] = rate


def _targets(prediction: Gaussian, sizes: Sequence[int], models: Sequence[AdaptedModel]) -> list[list[Answer]]:
    deviation = prediction.variance.sqrt()
    widths = torch.tensor([model.width for model in models]).to(deviation)[:, None, None]  # [M, 1, 1]
    interval = torch.stack([prediction.mean - widths * deviation, prediction.mean + widths * deviation], -1)
    columns = (values.tolist() for values in (prediction.mean, deviation, interval))  # [M, Q, T], the last [M, Q, T, 2]
    return [
        [_target(index, *row) for index, row in enumerate(list(zip(*own, strict=True))[:size])]
        for *own, size in zip(*columns, sizes, strict=True)
    ]


def _target(index: int, mean: list[float], deviation: list[float], interval: list[list[float]]) -> Answer:
    _check_finite(index, [*mean, *deviation])
    return {"mean": _one(mean), "std": _one(deviation), "interval": _one(interval)}


def _one(values: list[Any]) -> Any:
    """A single target is answered as itself, several as a list."""
    return values[0] if len(values) == 1 else values


def _check_finite(index: int, row: list[float]) -> None:
    if not math.isfinite(sum(row)):
        raise InvalidExample(index, "the model has no finite answer to it; it is too far from the support set")

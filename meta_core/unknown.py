"""Whether an input is of none of the classes that a model was shown."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meta_core.arrays import in_numpy, squared_distances
from meta_core.conformal import kept
from meta_core.types import Categorical, Support

Array = NDArray[np.float64]

USUAL_KNOWN, USUAL_UNKNOWN = np.array([-1.2, -3.0]), np.array([0.0, -0.5])
"""Where distance and doubt lie on most tasks, for inputs of the classes and for others."""
USUAL_SPREAD = np.diag([0.3, 3.0])
USUAL_WEIGHT = 4.0
"""In examples."""
MOST_DOUBT = 8.0
MEANS = "unknown.means"
"""Name of the class means [C, D] among the tensors of an adapted model."""


@dataclass(frozen=True, kw_only=True)
class Novelty:
    """How to tell what is of no class: log-odds w · (distance, doubt) + b, at even odds beforehand.

    Distance is the log of the squared distance to the nearest class mean, in units of that between neighbouring
    means; doubt the log-odds against the most probable class. `left_out` are the probabilities of being unknown that
    left-out support examples were given, ascending.
    """

    unit: float
    weights: tuple[float, float]
    bias: float
    left_out: tuple[float, ...]


def learn_novelty(support: Support, told: tuple[Tensor, Categorical] | None) -> Novelty:
    """From an embedded support set, and calibrated answers to those at `left_out`, each from all the others.

    A linear discriminant between the left out as they are, and as they would be if their own class had never been
    shown; both shrunk to what is usual, which alone serves where nothing can be left out.
    """
    means = in_numpy(class_means(support))  # [C, D]
    apart = squared_distances(means, means)
    np.fill_diagonal(apart, np.inf)
    unit = max(float(np.sort(apart.min(1))[(len(means) - 1) // 2]), 1e-12)
    if told is None:
        weights, bias = _discriminant(np.empty((0, 2)), np.empty((0, 2)))
        return Novelty(unit=unit, weights=weights, bias=bias, left_out=())
    left_out, answers = told
    y, log_p = support.y.cpu().numpy(), answers.log_probabilities.detach().double().cpu().numpy()  # [M, C]
    n = np.bincount(y, minlength=len(means))
    y = y[left_out.cpu().numpy()]
    own = y[:, None] == np.arange(len(means))  # [M, C]
    away = squared_distances(in_numpy(support.x[left_out]), means)  # [M, C]
    away *= np.where(own, np.square(n / np.maximum(n - 1, 1)), 1)
    others = np.where(own, -np.inf, log_p)
    likeliest = others.max(1)
    doubtful = -np.log(np.exp(others - likeliest[:, None]).sum(1))  # of the likeliest other, were there no own class
    known = _features(away.min(1), log_p.max(1), unit)
    unknown = _features(np.where(own, np.inf, away).min(1), doubtful, unit)
    weights, bias = _discriminant(known, unknown)
    novelty = Novelty(unit=unit, weights=weights, bias=bias, left_out=())
    return replace(novelty, left_out=tuple(kept(torch.from_numpy(_odds([novelty], known[None])[0]))))


def class_means(support: Support) -> Tensor:
    """Of embeddings of any shape, flattened, [C, D]."""
    return support.mean_by_class(support.x.flatten(1))


def unknown_of(novelties: Sequence[Novelty], means: Tensor, z: Tensor, log_p: Tensor) -> Array:
    """The probability of being of no class [M, Q], of the queries of M tasks.

    They have class means [M, C, D], embedded queries [M, Q, D], and answers to these as log-probabilities [M, Q, C].
    """
    away = torch.cdist(z, means).square().amin(-1)  # [M, Q]
    units = np.array([[novelty.unit] for novelty in novelties])
    squared, sure = (values.double().cpu().numpy() for values in (away, log_p.amax(-1)))
    return _odds(novelties, _features(squared, sure, units))


def _features(squared: Array, log_p: Array, unit: float | Array) -> Array:
    """Distance and doubt, [..., Q, 2]."""
    distance = np.log(np.clip(squared / unit, 1e-6, 1e6))
    doubt = np.clip(np.log(np.maximum(-np.expm1(log_p), 1e-12)) - log_p, -MOST_DOUBT, MOST_DOUBT)
    return np.stack([distance, doubt], -1)


def _odds(novelties: Sequence[Novelty], features: Array) -> Array:
    """The probability of being unknown [M, Q] by features [M, Q, 2] of each of M tasks."""
    weights = np.array([novelty.weights for novelty in novelties])[:, :, None]  # [M, 2, 1]
    bias = np.array([[novelty.bias] for novelty in novelties])
    odds: Array = 1 / (1 + np.exp(-np.clip((features @ weights)[:, :, 0] + bias, -30, 30)))
    return odds


def _covariance(rows: Array) -> Array:
    centred = rows - rows.mean(0)
    covariance: Array = centred.T @ centred / len(rows)
    return covariance


def _discriminant(known: Array, unknown: Array) -> tuple[tuple[float, float], float]:
    """Weights, none below zero, and bias."""
    share = len(known) / (len(known) + USUAL_WEIGHT)
    spread, low, high = USUAL_SPREAD, USUAL_KNOWN, USUAL_UNKNOWN
    if len(known):
        low = (1 - share) * low + share * known.mean(0)
        high = (1 - share) * high + share * unknown.mean(0)
        inside = (_covariance(known) + _covariance(unknown)) / 2
        spread = (1 - share) * spread + share * inside
    weights = np.linalg.solve(spread, high - low)
    for i in np.nonzero(weights < 0)[0]:
        weights = np.maximum((high - low) / spread.diagonal(), 0)
        weights[i] = 0.0
    bias = -weights @ (low + high) / 2
    by_distance, by_doubt = (float(f"{w:.6g}") for w in weights)
    return (by_distance, by_doubt), float(f"{bias:.6g}")

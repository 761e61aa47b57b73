"""What to label next: the unlabelled inputs whose labels would teach a model most."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from meta_core.learner import Covariance, Learner
from meta_core.types import Categorical, Prediction, Support

Method = Literal["variance reduction", "uncertainty-weighted variance reduction", "margin"]
NOISE = 0.1
"""Variance of a label's noise beside that of the kernel, 1, where the learner knows none."""
NEAREST = 10
"""The usual length of the kernel is the mean distance to so manieth nearest neighbour."""
MOST_INPUTS = 2000
"""Of more inputs these many, evenly spread, are weighed against each other; the others are not suggested."""


@dataclass(frozen=True)
class Suggestion:
    """Positions of the inputs best labelled next, best first, and how much each helps after those before it."""

    method: Method
    positions: list[int]
    scores: list[float]


@torch.no_grad()
def suggest(learner: Learner, support: Support | None, z: Tensor, prediction: Prediction, count: int) -> Suggestion:
    """The `count` of the encoded inputs `z` [M, D], answered by `prediction`, that would help most, in turn.

    Each is chosen for how much its label is expected to reduce the variance of the answers to all of `z`, given the
    support and those chosen before it: of regression exact for learners with a covariance of their own (`gp`,
    `ridge`), else by an RBF kernel on the embeddings. Of classes, each answer counts by its Gini impurity, so that
    labels go where it is open. Without embeddings of a support set, those with the smallest margin between their best
    two classes come first, or of regression the widest answers.
    """
    if support is None or not learner.only_embeds:
        return _by_margin(prediction, count)
    spread = torch.linspace(0, len(z) - 1, min(len(z), MOST_INPUTS), device=z.device).round().long()
    z = z[spread]
    own = learner.covariance(support, torch.cat([support.x, z])) if support.ways is None else None
    covariance = own or usual_covariance(support.x, z)
    weights = _impurity(prediction)[spread]
    positions, scores = greedy(covariance, len(support), weights, count)
    method: Method = "variance reduction" if support.ways is None else "uncertainty-weighted variance reduction"
    return Suggestion(method, spread[positions].tolist(), scores)


def usual_covariance(support: Tensor, z: Tensor) -> Covariance:
    """An RBF kernel over support and inputs, [N + M, N + M], as long as the distance of neighbours among the inputs."""
    points = torch.cat([support, z]).double()
    distances = torch.cdist(points, points)
    among = distances[len(support) :, len(support) :]
    length = among.sort(1).values[:, min(NEAREST, len(z) - 1)].mean().clamp(min=1e-12)
    return Covariance((-0.5 * (distances / length).square()).exp(), NOISE)


@torch.no_grad()
def greedy(covariance: Covariance, known: int, weights: Tensor, count: int) -> tuple[list[int], list[float]]:
    """Chosen one after the other by the weighted variance that a label takes from all inputs.

    The first `known` points of the covariance are labelled. The weights are of the others, [M]. A score is a share
    of the weighted variance that there was.
    """
    matrix, noise = covariance.matrix.double(), covariance.noise
    labelled, crossed = matrix[:known, :known], matrix[:known, known:]
    factor = torch.linalg.cholesky(labelled + noise * torch.eye(known).to(labelled))
    solved = torch.linalg.solve_triangular(factor, crossed, upper=False)  # [N, M]
    left = matrix[known:, known:] - solved.T @ solved  # [M, M], posterior
    weights = weights.double() / weights.double().sum().clamp(min=1e-300)
    total = (weights @ left.diagonal()).clamp(min=1e-300)
    open_ = torch.ones(len(weights), dtype=torch.bool, device=left.device)
    positions, scores = [], []
    for _ in range(min(count, len(weights))):
        gain = (weights @ left.square()) / (left.diagonal().clamp(min=0) + noise)  # [M]
        best = int(torch.where(open_, gain, -1.0).argmax())
        positions.append(best)
        scores.append(float(gain[best] / total))
        open_[best] = False
        row = left[best].clone()
        left -= torch.outer(row, row) / (row[best].clamp(min=0) + noise)
    return positions, scores


def _by_margin(prediction: Prediction, count: int) -> Suggestion:
    if isinstance(prediction, Categorical):
        best = prediction.log_probabilities.exp().topk(2, -1).values  # [M, 2]
        openness = 1 - (best[:, 0] - best[:, 1])
    else:
        openness = prediction.variance.mean(-1)
    order = openness.argsort(descending=True, stable=True)[:count]
    return Suggestion("margin", order.tolist(), openness[order].tolist())


def _impurity(prediction: Prediction) -> Tensor:
    """How open each answer is, [M]: 1 − Σp² of classes, at least a little; the same for all of regression."""
    if not isinstance(prediction, Categorical):
        return torch.ones(len(prediction.mean)).to(prediction.mean)
    return 1 - prediction.log_probabilities.exp().square().sum(-1) + 0.05

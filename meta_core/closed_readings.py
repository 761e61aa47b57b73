"""What several closed forms say of a task: kernel ridge regressions, each support row answered as if left out."""

from typing import NamedTuple

import torch
from torch import Tensor

LINEAR_NOISES = (0.05, 0.5, 5.0)
NORMAL = ((0.35, 0.1), (0.8, 0.1))
LAPLACE = ((0.7, 0.1),)
ADDITIVE = ((0.5, 0.05), (0.5, 0.5))
"""Lengths and noises of kernels of variance about 1, in units of a column's scale."""
READINGS = len(LINEAR_NOISES) + len(NORMAL) + len(LAPLACE) + len(ADDITIVE)
MOST_NUMBERS = 4_000_000
"""In the differences of two sets of rows that are held at once."""


class Readings(NamedTuple):
    """Dual weights [R, N, C] of R regressions, and their answers to each support row without it, [C, N, R]."""

    dual: Tensor
    left_out: Tensor


def fourth_moment_scale(x: Tensor) -> Tensor:
    """(mean x⁴)^¼ of each column, [D]: wider than the deviation where few rows hold all of it, as in a rare category.

    1 for a column of zeros.
    """
    moment = x.square().square().mean(0)
    return torch.where(moment > 0, moment, torch.ones_like(moment)).sqrt().sqrt()


def read_support(x: Tensor, marks: Tensor) -> Readings:
    """Regressions of `marks` [N, C], whose mean is zero, on rows [N, D]."""
    noises = torch.tensor([*LINEAR_NOISES, *(noise for _, noise in (*NORMAL, *LAPLACE, *ADDITIVE))]).to(x)
    noisy = kernels(x, x) + noises[:, None, None] * torch.eye(len(x)).to(x)  # [R, N, N]
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(noisy))
    dual = inverse @ marks
    left_out = marks - dual / inverse.diagonal(dim1=1, dim2=2)[..., None]  # [R, N, C]
    return Readings(dual, left_out.permute(2, 1, 0))


def read_queries(dual: Tensor, x: Tensor, queries: Tensor) -> Tensor:
    """What the regressions answer to [Q, D], [C, Q, R]."""
    return (kernels(queries, x) @ dual).permute(2, 1, 0)


def kernels(a: Tensor, b: Tensor) -> Tensor:
    """All of them between rows [Q, D] and [N, D], [R, Q, N]."""
    columns = a.shape[1]
    linear = a @ b.T / columns
    squared = (a.square().sum(-1)[:, None] + b.square().sum(-1) - 2 * a @ b.T).clamp(min=0) / columns
    distance, additive = torch.zeros_like(linear), torch.zeros_like(linear)
    together = max(1, MOST_NUMBERS // max(1, len(a) * len(b)))
    for first in range(0, columns, together):
        apart = (a[:, None, first : first + together] - b[None, :, first : first + together]).abs()
        distance = distance + apart.sum(-1) / columns
        additive = additive + (-apart / ADDITIVE[0][0]).exp().sum(-1) / columns
    normal = [(-squared / (2 * length**2)).exp() for length, _ in NORMAL]
    laplace = [(-distance / length).exp() for length, _ in LAPLACE]
    return torch.stack([linear] * len(LINEAR_NOISES) + normal + laplace + [additive] * len(ADDITIVE))

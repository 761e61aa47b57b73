"""Arithmetic on few numbers in NumPy, whose calls cost a fraction of what PyTorch's do."""

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

Array = npt.NDArray[np.floating[Any]]


def in_numpy(values: Tensor) -> Array:
    """Values of any shape and device, each flattened: [N, D] from [N, *shape]."""
    flat: Array = values.detach().flatten(1).float().cpu().numpy()
    return flat


def squared_distances(a: Array, b: Array) -> Array:
    """[N, M] between the rows of [N, D] and [M, D], expanded: in float64 the digits that this loses do not matter."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    found: Array = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * (a @ b.T)
    return found.clip(min=0)

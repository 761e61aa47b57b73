"""Orders of support rows for methods that read them one after the other."""

import math

import torch
from torch import Tensor


def canonical_order(z: Tensor) -> Tensor:
    """The order of rows [N, D] along a fixed direction, which is the same however they come."""
    return canonical_orders(z, 1)[0]


def canonical_orders(z: Tensor, count: int) -> Tensor:
    """Several such orders, along different directions, [count, N]."""
    places = torch.arange(1, z.shape[1] + 1, dtype=z.dtype, device=z.device)
    turns = torch.arange(1, count + 1, dtype=z.dtype, device=z.device)
    directions = (turns[:, None].sqrt() * places.sqrt() * math.pi).cos()  # [count, D]
    return (directions @ z.detach().T).argsort(dim=-1, stable=True)

"""An order of support rows for methods that read them one after the other."""

import math

import torch
from torch import Tensor


def canonical_order(z: Tensor) -> Tensor:
    """The order of rows [N, D] along a fixed direction, which is the same however they come."""
    direction = torch.arange(1, z.shape[1] + 1, dtype=z.dtype, device=z.device).sqrt().mul(math.pi).cos()  # [D]
    return (z.detach() @ direction).argsort(stable=True)

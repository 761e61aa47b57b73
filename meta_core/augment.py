"""Small random changes of training images."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def small_affine(x: Tensor, rng: torch.Generator) -> Tensor:
    """Each image of [N, C, H, W] rotated by ±10°, scaled by ±15 %, sheared by ±0.15 and shifted by ±8 %."""
    n = len(x)

    def uniform(most: float) -> Tensor:
        return (torch.rand(n, generator=rng) * 2 - 1) * most

    angle = uniform(math.radians(10))
    width, height, shear = 1 + uniform(0.15), 1 + uniform(0.15), uniform(0.15)
    cos, sin = angle.cos(), angle.sin()
    across = torch.stack([cos * width, (shear * cos - sin) * height, uniform(0.16)], dim=1)
    down = torch.stack([sin * width, (shear * sin + cos) * height, uniform(0.16)], dim=1)
    theta = torch.stack([across, down], dim=1)  # [N, 2, 3]
    grid = F.affine_grid(theta.to(x), list(x.shape), align_corners=False)  # [N, H, W, 2]
    return F.grid_sample(x, grid, align_corners=False)

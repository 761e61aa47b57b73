"""Small random changes of training images."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from meta_core.episodes import Augment


def small_affine(x: Tensor, rng: torch.Generator, beyond: Literal["zeros", "border"] = "zeros") -> Tensor:
    """Each image of [N, C, H, W] rotated by ±10°, scaled by ±15 %, sheared by ±0.15 and shifted by ±8 %.

    What comes in from beyond the edge is zero, or like the edge.
    """
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
    return F.grid_sample(x, grid, align_corners=False, padding_mode=beyond)


def photographed_again(x: Tensor, rng: torch.Generator) -> Tensor:
    """Each photograph of [N, C, H, W], values 0–1, by small affine changes and in another light.

    Brightness, contrast and each channel by up to ±25 %, ±25 % and ±10 %.
    """
    n, channels = x.shape[:2]

    def factor(most: float, count: int = 1) -> Tensor:
        return (1 + most * (torch.rand(n, count, 1, 1, generator=rng) * 2 - 1)).to(x)

    x = small_affine(x, rng, "border")
    mean = x.mean((1, 2, 3), keepdim=True)  # [N, 1, 1, 1]
    x = (x - mean) * factor(0.25) + mean * factor(0.25)
    return (x * factor(0.1, channels)).clamp(0, 1)


def changes_for(framing: str) -> Augment:
    """What training images are changed by: drawings are moved on their empty ground, others photographed again."""
    return small_affine if framing == "drawing" else photographed_again

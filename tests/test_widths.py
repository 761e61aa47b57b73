"""Intervals that hold nine in ten."""

import pytest
import torch

from meta_core.types import Gaussian
from meta_core.widths import NORMAL_90, width_90


def test_many_residuals_of_heavy_tails_are_covered() -> None:
    y = torch.distributions.StudentT(3.0).sample(torch.Size([4000, 1]))
    width = width_90((Gaussian(torch.zeros(4000, 1), torch.ones(4000, 1)), y), 1.0, [])
    assert (y.abs() < width).float().mean().item() == pytest.approx(0.9, abs=0.02)
    assert width > 1.2 * NORMAL_90


def test_without_residuals_the_usual_ones_serve() -> None:
    assert width_90(None, 1.0, []) == pytest.approx(NORMAL_90, abs=1e-4)
    usual = [(i + 0.5) / 40 for i in range(40)]
    assert width_90(None, 1.0, usual) == pytest.approx(0.9, abs=0.03)


def test_few_residuals_move_it_little() -> None:
    usual = [(i + 0.5) / 40 for i in range(40)]
    far = Gaussian(torch.zeros(1, 1), torch.ones(1, 1)), torch.full((1, 1), 9.0)
    assert width_90(far, 1.0, usual) < 1.5

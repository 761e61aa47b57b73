"""One number corrects what a model believes of itself."""

import pytest
import torch

from meta_core.calibration import calibrated, calibration_of
from meta_core.types import Categorical, Gaussian


def answers(n: int, factor: float) -> tuple[Categorical, torch.Tensor]:
    """Labels drawn from a model's true probabilities, and its answers made `factor` times too sharp."""
    rng = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(n, 4, generator=rng)
    y = torch.multinomial(logits.softmax(-1), 1, generator=rng).squeeze(-1)
    return Categorical((factor * logits).log_softmax(-1)), y


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_sharpness_is_undone(factor: float) -> None:
    assert calibration_of(*answers(5000, factor)) == pytest.approx(1 / factor, rel=0.12)


def test_calibrated_answers_are_more_likely() -> None:
    prediction, y = answers(500, 5.0)
    better = calibrated(prediction, calibration_of(prediction, y))
    assert better.nll(y).mean() < prediction.nll(y).mean()


def test_a_few_examples_change_little() -> None:
    prediction, y = answers(2, 4.0)
    assert 0.7 < calibration_of(prediction, y) < 1.4


def test_variances_are_scaled_by_what_was_missed() -> None:
    y = 3 * torch.randn(5000, 1, generator=torch.Generator().manual_seed(0))
    assumed = Gaussian(torch.zeros(5000, 1), torch.ones(5000, 1))
    factor = calibration_of(assumed, y)
    assert factor == pytest.approx(9, rel=0.1)
    corrected = calibrated(assumed, factor)
    assert isinstance(corrected, Gaussian)
    covered = ((y - corrected.mean).abs() < 1.645 * corrected.variance.sqrt()).float().mean().item()
    assert covered == pytest.approx(0.9, abs=0.02)

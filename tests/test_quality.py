"""Scores of an adapted model against figures worked out by hand and by SciPy."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from sklearn.metrics import r2_score

from meta_core.intervals import bootstrap, wilson
from meta_core.quality import scores
from meta_core.types import Categorical, Gaussian


@pytest.mark.parametrize(("hits", "n"), [(0, 4), (4, 4), (17, 25), (250, 300)])
def test_the_interval_of_an_accuracy_is_wilsons(hits: int, n: int) -> None:
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error_says() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(0))
    low, high = bootstrap(lambda w: w @ values / 400, 400)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std().item() / 20, rel=0.2)


def test_class_scores_are_those_worked_out_by_hand() -> None:
    # confidences .9 (right), .9 (wrong), .6 (right): gaps |.9 − ½| · 2/3 and |.6 − 1| · 1/3
    probabilities = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.4, 0.6]])
    found = scores((Categorical(probabilities.log()), torch.tensor([0, 0, 1])), 1.0)
    assert found["loo_accuracy"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["loo_ece"] == pytest.approx(0.4, abs=1e-4)
    assert found["loo_nll"] == pytest.approx(-np.log([0.9, 0.1, 0.6]).mean(), rel=1e-3)
    assert found["loo_examples"] == 3
    for name, (low, high) in found["loo_intervals"].items():
        assert low <= found[name] <= high


def test_target_scores_are_those_of_scikit_learn() -> None:
    rng = torch.Generator().manual_seed(0)
    y = torch.randn(30, 1, generator=rng)
    mean = y + 0.3 * torch.randn(30, 1, generator=rng)
    found = scores((Gaussian(mean, torch.full_like(mean, 0.09)), y), 1.0)
    assert found["loo_r2"] == pytest.approx(r2_score(y, mean), abs=1e-4)
    assert found["loo_rmse"] == pytest.approx((y - mean).square().mean().sqrt().item(), rel=1e-3)
    for name, (low, high) in found["loo_intervals"].items():
        assert low <= found[name] <= high


def test_targets_that_are_all_the_same_have_no_r2() -> None:
    y = torch.full((4, 1), 2.0)
    assert "loo_r2" not in scores((Gaussian(y + 0.1, torch.ones_like(y)), y), 1.0)

"""Conformal answers hold the truth as often as they promise."""

import pytest
import torch

from meta_core.conformal import covering, strangeness, threshold
from meta_core.errors import InvalidParameter
from meta_core.types import Categorical, Gaussian


def test_the_truth_stays_below_the_threshold_as_often_as_promised() -> None:
    rng = torch.Generator().manual_seed(0)
    held = [torch.rand(40, generator=rng).sort().values.tolist() for _ in range(4000)]
    asked = torch.rand(4000, generator=rng).tolist()
    for coverage in (0.5, 0.9):
        below = [a <= threshold(h, coverage) for h, a in zip(held, asked, strict=True)]
        assert sum(below) / len(below) == pytest.approx(coverage, abs=0.025)


def test_too_few_examples_promise_nothing() -> None:
    assert threshold([0.1] * 18 + [0.7], 0.95) == 0.7
    with pytest.raises(InvalidParameter, match=r"needs 19 support examples.* this model has 18"):
        threshold([0.1] * 18, 0.95)


def test_strangeness_is_what_is_worked_out_by_hand() -> None:
    told = Categorical(torch.tensor([[0.9, 0.1], [0.3, 0.7]]).log())
    assert strangeness((told, torch.tensor([0, 0])), 1.0) == pytest.approx([0.1, 0.7])
    told_targets = Gaussian(torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 1.0]]))
    assert strangeness((told_targets, torch.tensor([[2.0, 5.0]])), 1.0) == pytest.approx([3.0])
    assert strangeness(None, 1.0) == []


def test_a_set_holds_the_likely_classes_and_never_nothing() -> None:
    answer = {"label": "a", "probability": 0.6, "probabilities": {"a": 0.6, "b": 0.3, "c": 0.1}}
    assert covering([answer], ("a", "b", "c"), 0.75)[0]["set"] == ["a", "b"]
    assert covering([answer], ("a", "b", "c"), 0.1)[0]["set"] == ["a"]
    assert covering([{"mean": 2.0, "std": 0.5, "interval": [0, 0]}], (), 2.0)[0]["interval"] == [1.0, 3.0]

import pytest
import torch
from torch.testing import assert_close

from meta_core.types import Gaussian, Support
from tests.learners.cases import build, draw


def test_a_class_is_the_mean_of_what_is_read_of_its_examples() -> None:
    learner, support = build(("cnp", {}, "classification"), "identity"), draw("classification").support
    expected = torch.stack([learner.reader(support.x[support.y == c]).mean(0) for c in range(3)])
    assert_close(learner.adapt(support)["representation"], expected)


def test_saying_everything_twice_says_nothing_new() -> None:
    learner, support = build(("cnp", {}, "regression"), "identity"), draw("regression").support
    twice = Support(support.x.repeat(2, 1), support.y.repeat(2, 1), None)
    assert_close(learner.adapt(twice), learner.adapt(support))


@pytest.mark.parametrize(("targets", "shift"), [("standardised", 7.0), ("scaled", 0.0)])
def test_the_unit_of_the_targets_does_not_matter(targets: str, shift: float) -> None:
    learner, episode = build(("cnp", {"targets": targets}, "regression"), "identity"), draw("regression")
    support = episode.support
    first = learner.predict(learner.adapt(support), episode.x)
    other = learner.predict(learner.adapt(Support(support.x, 100 * support.y + shift, None)), episode.x)
    assert isinstance(first, Gaussian)
    assert isinstance(other, Gaussian)
    assert_close(other.mean, 100 * first.mean + shift)
    assert_close(other.variance, 100**2 * first.variance)


def test_targets_do_not_know_of_each_other() -> None:
    learner, episode = build(("cnp", {}, "regression"), "identity"), draw("regression")
    support = episode.support
    both = learner.predict(learner.adapt(support), episode.x)
    alone = learner.predict(learner.adapt(Support(support.x, support.y[:, :1], None)), episode.x)
    assert_close(both.mean[:, :1], alone.mean)


def test_no_answer_is_surer_than_the_least_deviation() -> None:
    learner, episode = build(("cnp", {"targets": "raw"}, "regression"), "identity"), draw("regression")
    learner.answerer.last.bias.data.fill_(-1e6)
    prediction = learner.predict(learner.adapt(episode.support), episode.x)
    assert_close(prediction.variance, torch.full_like(prediction.variance, 0.1**2))

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch.testing import assert_close

from meta_core.learner import Learner
from meta_core.types import Support
from tests.learners.cases import answers, build, draw


def test_it_is_the_bayes_rule_of_normal_distributions() -> None:
    learner, episode = build(("mahalanobis", {"ridge": 0.5}, "classification"), "identity"), draw("classification")
    x, y = episode.support.x.numpy(), episode.support.y.numpy()
    whole = np.cov(x.T)
    densities = []
    for c in range(3):
        n = int((y == c).sum())
        mixed = (n * np.cov(x[y == c].T) + whole) / (n + 1) + 0.5 * np.trace(whole) / 4 * np.eye(4)
        densities.append(multivariate_normal(x[y == c].mean(0), mixed).logpdf(episode.x.numpy()))
    expected = torch.from_numpy(np.stack(densities, -1)).log_softmax(-1)
    prediction = learner.predict(learner.adapt(episode.support), episode.x)
    assert_close(answers(prediction).detach(), expected, rtol=1e-6, atol=1e-6)


def test_the_scale_of_the_embedding_does_not_matter() -> None:
    learner, episode = build(("mahalanobis", {}, "classification"), "identity"), draw("classification")
    large = Support(1000 * episode.support.x, episode.support.y, 3)
    small = learner.predict(learner.adapt(episode.support), episode.x)
    assert_close(answers(learner.predict(learner.adapt(large), 1000 * episode.x)), answers(small))


@pytest.mark.parametrize(("dimension", "counts"), [(40, [5, 2, 4]), (4, [9, 2, 1, 7]), (12, [3, 3, 20])])
def test_leaving_one_out_is_adapting_without_it(dimension: int, counts: list[int]) -> None:
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))[torch.randperm(sum(counts), generator=rng)]
    x = torch.randn(len(y), dimension, generator=rng).double() * torch.linspace(0.1, 3, dimension) + y[:, None]
    learner = build(("mahalanobis", {"ridge": 0.05}, "classification"), "identity", (dimension,))
    support, left_out = Support(x, y, len(counts)), (torch.tensor(counts)[y] > 1).nonzero()[:, 0]
    adapted = Learner.leave_one_out(learner, support, left_out)
    assert_close(answers(learner.leave_one_out(support, left_out)), answers(adapted), rtol=1e-6, atol=1e-5)


def test_without_the_only_one_that_differs_nothing_varies() -> None:
    learner = build(("mahalanobis", {}, "classification"), "identity", (3,))
    x = torch.tensor([[1.0, 2.0, 3.0]] * 4 + [[3.0, 2.0, 1.0]])
    support, left_out = Support(x, torch.tensor([0, 0, 1, 1, 1]), 2), torch.arange(5)
    adapted = Learner.leave_one_out(learner, support, left_out)
    assert_close(answers(learner.leave_one_out(support, left_out)), answers(adapted))

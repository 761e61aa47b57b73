import numpy as np
import torch
from scipy.stats import multivariate_normal
from torch.testing import assert_close

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

import math

import numpy as np
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct
from torch.testing import assert_close

from meta_core.backbone import build_backbone
from meta_core.episodes import Size, TaskSource
from meta_core.evaluation import evaluate
from meta_core.learner import build_learner
from meta_core.learners.bayes_linear import BayesLinear
from meta_core.types import Episode, Gaussian, Support, Task
from tests.learners.cases import build, draw


class Slopes(TaskSource):
    """y = 50 + b + (10 + a) x + ε with b of deviation 5, a of 2, ε of 1: a population of lines."""

    task: Task = "regression"
    shape = (1,)

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        b, a = 5 * torch.randn((), generator=rng), 2 * torch.randn((), generator=rng)
        x = torch.randn(size.shots + size.queries, 1, generator=rng)
        y = 50 + b + (10 + a) * x + torch.randn(len(x), 1, generator=rng)
        return Episode(Support(x[: size.shots], y[: size.shots], None), x[size.shots :], y[size.shots :])


def begun() -> BayesLinear:
    learner = build_learner("bayes_linear", build_backbone("identity", (1,), {}), {}, "regression")
    assert isinstance(learner, BayesLinear)
    learner.begin(Slopes(), Size(shots=5, queries=10), torch.Generator().manual_seed(0))
    return learner


def test_its_answers_are_those_of_a_gaussian_process_with_the_same_prior() -> None:
    learner, episode = build(("bayes_linear", {}, "regression"), "identity"), draw("regression")
    support = episode.support
    answer = learner.predict(learner.adapt(support), episode.x)
    assert isinstance(answer, Gaussian)
    kernel = DotProduct(1.0, "fixed") * ConstantKernel(1.0, "fixed")  # w ~ N(0, I), the constant's too
    theirs = GaussianProcessRegressor(kernel, alpha=1.0, optimizer=None).fit(support.x, support.y[:, 0])
    mean, deviation = theirs.predict(episode.x, return_std=True)
    np.testing.assert_allclose(answer.mean[:, 0].detach(), mean, atol=1e-7)
    np.testing.assert_allclose(answer.variance[:, 0].detach(), deviation**2 + 1.0, atol=1e-7)


def test_the_prior_of_a_population_is_found() -> None:
    learner = begun()
    mean, factor = learner.mean * learner.scale, learner.factor * learner.scale
    covariance = factor @ factor.T
    assert abs(mean[0].item() - 10) < 0.5
    assert abs(mean[1].item() + learner.location.item() - 50) < 1
    assert_close(covariance.diagonal().sqrt(), torch.tensor([2.0, 5.0]), rtol=0.15, atol=0)
    assert abs(math.exp(learner.log_noise.item() / 2) * learner.scale.item() - 1) < 0.1


def test_two_points_of_a_new_member_are_enough_where_the_population_is_known() -> None:
    result = evaluate(begun(), Slopes(), Size(shots=2, queries=20), 200, torch.Generator().manual_seed(1))
    assert result.mse is not None
    assert result.mse < 5  # least squares on two points has far more than 10; 29 is the variance between members

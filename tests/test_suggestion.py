"""What is suggested is what takes most variance away, computed independently."""

import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from meta_core.backbone import build_backbone
from meta_core.learner import build_learner
from meta_core.suggestion import greedy, suggest, usual_covariance
from meta_core.types import Gaussian, Support
from tests.learners.cases import build, draw

LENGTH, NOISE = 0.8, 0.1


def test_each_suggestion_takes_most_variance_away_by_scikit_learn() -> None:
    learner = build(("gp", {"length": LENGTH, "noise": NOISE}, "regression"), "identity")
    episode = draw("regression", counts=(5,), queries=12)
    found = suggest(learner, episode.support, episode.x, learner.predict(learner.adapt(episode.support), episode.x), 3)
    assert found.method == "variance reduction"
    size = (episode.support.x - episode.support.x.mean(0)).norm(dim=-1).square().mean().sqrt().item()

    def variance(labelled: torch.Tensor) -> float:
        process = GaussianProcessRegressor(RBF(LENGTH * size), alpha=NOISE, optimizer=None)
        deviation = process.fit(labelled.numpy(), labelled[:, 0].numpy()).predict(episode.x.numpy(), return_std=True)[1]
        return float((deviation**2).sum())

    labelled, before = episode.support.x, variance(episode.support.x)
    first = before
    for position, score in zip(found.positions, found.scores, strict=True):
        after = [variance(torch.cat([labelled, one[None]])) for one in episode.x]
        assert score == pytest.approx((before - after[position]) / first, rel=1e-6)
        assert after[position] == pytest.approx(min(after), rel=1e-9)
        labelled, before = torch.cat([labelled, episode.x[position][None]]), after[position]


def test_ridge_reduces_the_variance_of_the_textbook() -> None:
    penalty = 0.7
    learner = build(("ridge", {"penalty": penalty}, "regression"), "identity")
    episode = draw("regression", counts=(6,), queries=8)
    covariance = learner.covariance(episode.support, torch.cat([episode.support.x, episode.x]))
    assert covariance is not None
    (best,), (score,) = greedy(covariance, 6, torch.ones(8), 1)
    size = episode.support.x.norm(dim=-1).square().mean().sqrt()
    x, z = (torch.cat([part / size, torch.ones(len(part), 1)], 1) for part in (episode.support.x, episode.x))

    def variance(rows: torch.Tensor) -> torch.Tensor:
        inverse = torch.linalg.inv(rows.T @ rows + penalty * torch.eye(rows.shape[1]).to(rows))
        return (z @ inverse * z).sum()

    after = torch.stack([variance(torch.cat([x, one[None]])) for one in z])
    assert best == int(after.argmin())
    assert score == pytest.approx(((variance(x) - after.min()) / variance(x)).item(), rel=1e-6)


def test_suggestions_do_not_repeat_each_other_and_go_where_answers_are_open() -> None:
    support = Support(torch.tensor([[0.0, 0.0], [9.0, 9.0]]), torch.tensor([0, 1]), 2)
    twins = torch.tensor([[4.0, 5.0], [4.0, 5.0], [5.0, 4.0], [0.1, 0.0], [9.0, 9.1]])
    learner = build_learner("protonet", build_backbone("identity", (2,), {}), {}, "classification")
    found = suggest(learner, support, twins, learner.predict(learner.adapt(support), twins), 5)
    assert found.method == "uncertainty-weighted variance reduction"
    assert sorted(found.positions) == list(range(5))
    assert {min(position, 1) if position < 2 else position for position in found.positions[:2]} <= {0, 1, 2}
    assert set(found.positions[:2]) != {0, 1}
    assert found.scores[0] == max(found.scores)


def test_without_a_support_set_the_margin_decides() -> None:
    learner = build(("protonet", {}, "classification"))
    episode = draw("classification")
    answers = learner.predict(
        learner.adapt(Support(learner.encode(episode.support.x), episode.support.y, 3)), learner.encode(episode.x)
    )
    found = suggest(learner, None, learner.encode(episode.x), answers, 2)
    best = answers.log_probabilities.exp().topk(2).values  # type: ignore[union-attr]
    assert (found.method, found.positions[0]) == ("margin", int((best[:, 0] - best[:, 1]).argmin()))
    wide = suggest(
        learner, None, torch.zeros(3, 1), Gaussian(torch.zeros(3, 1), torch.tensor([[1.0], [3.0], [2.0]])), 2
    )
    assert wide.positions == [1, 2]


def test_the_usual_kernel_is_one_of_the_inputs_own_size() -> None:
    z = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    one, other = usual_covariance(z[:5], z[5:]).matrix, usual_covariance(100 * z[:5], 100 * z[5:]).matrix
    torch.testing.assert_close(one, other)

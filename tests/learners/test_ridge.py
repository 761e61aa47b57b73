import numpy as np
import pytest
import sklearn.linear_model
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from meta_core.learners.ridge import PENALTIES, SCALES, Fit, choose, ridge
from meta_core.types import Gaussian, Support
from tests.learners.cases import answers, build, draw


def textbook(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    reference = sklearn.linear_model.Ridge(alpha=penalty, fit_intercept=False).fit(x.numpy(), y.numpy())
    return torch.from_numpy(np.atleast_2d(reference.coef_).T)  # [D, K]


def weights(fit: Fit) -> Tensor:
    """Of each penalty, [G, D, K]."""
    return torch.stack([fit.weight(coordinates) for coordinates in fit.coordinates])


def scaled(z: Tensor) -> tuple[Tensor, Tensor]:
    size = z.square().sum(-1).mean().sqrt()
    return torch.cat([z / size, torch.ones_like(z[:, :1])], -1), size


def test_classification_is_the_ridge_of_the_textbook() -> None:
    support = draw("classification").support
    learner = build(("ridge", {"penalty": 0.7, "scale": 3.0}, "classification"), "identity")
    x, size = scaled(support.x)
    weight = 3 * textbook(x, 2 * F.one_hot(support.y, 3).double() - 1, 0.7)
    weight[:-1] /= size
    assert_close(learner.adapt(support)["weight"].detach(), weight, rtol=1e-6, atol=1e-6)


def test_regression_is_the_ridge_of_the_textbook_on_standardised_targets() -> None:
    episode = draw("regression")
    support = episode.support
    learner = build(("ridge", {"penalty": 0.7}, "regression"), "identity")
    mean, deviation = support.y.mean(0), support.y.std(0, correction=0)
    x, size = scaled(support.x)
    queries = torch.cat([episode.x / size, torch.ones(len(episode.x), 1)], -1)
    expected = queries @ textbook(x, (support.y - mean) / deviation, 0.7) * deviation + mean
    prediction = learner.predict(learner.adapt(support), episode.x)
    assert isinstance(prediction, Gaussian)
    assert_close(prediction.mean.detach(), expected, rtol=1e-6, atol=1e-6)


def test_both_forms_are_the_same() -> None:
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(6, 5, generator=rng).double(), torch.randn(6, 2, generator=rng).double()
    penalties = torch.tensor([0.1, 2.0]).double()
    primal = ridge(x, y, penalties)
    dual = ridge(torch.cat([x, torch.zeros(6, 3).double()], -1), y, penalties)  # more features than examples
    assert_close(weights(primal), weights(dual)[:, :5])
    assert_close(primal.left_out, dual.left_out)


def test_leaving_one_out_is_refitting_without_it() -> None:
    rng = torch.Generator().manual_seed(0)
    for features in (3, 12):  # the primal and the dual form
        x, y = torch.randn(8, features, generator=rng).double(), torch.randn(8, 2, generator=rng).double()
        left_out = ridge(x, y, torch.tensor([0.3]).double()).left_out[0]
        for i in range(8):
            others = torch.arange(8) != i
            assert_close(left_out[i], x[i] @ textbook(x[others], y[others], 0.3))


def test_what_is_left_out_of_a_regression_is_no_part_of_the_mean() -> None:
    rng = torch.Generator().manual_seed(0)
    x, y = F.normalize(torch.randn(9, 3, generator=rng).double(), dim=-1), 5 + torch.randn(9, 2, generator=rng).double()
    learner = build(("ridge", {"penalty": 0.7}, "regression"), "identity", (3,))
    told = learner.leave_one_out(Support(x, y, None), torch.arange(9))
    assert isinstance(told, Gaussian)
    for i in range(9):
        others = torch.arange(9) != i
        again = learner.predict(learner.adapt(Support(x[others], y[others], None)), x[i : i + 1])
        assert isinstance(again, Gaussian)
        assert_close(told.mean[i], again.mean[0])


def test_who_knows_nothing_answers_with_the_mean_of_the_others() -> None:
    x, y = torch.tensor([[-1.0], [1.0], [0.5]]).double(), torch.tensor([[0.0], [3.0], [6.0]]).double()
    told = build(("ridge", {"penalty": 1e6}, "regression"), "identity", (1,)).leave_one_out(
        Support(x, y, None), torch.arange(3)
    )
    assert isinstance(told, Gaussian)
    assert_close(told.mean.detach().flatten(), torch.tensor([4.5, 3.0, 1.5]).double(), rtol=1e-4, atol=1e-4)


def test_noise_is_answered_with_a_larger_penalty_than_a_line() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(40, 5, generator=rng).double()
    line, noise = x[:, :1] * 3 + 1, torch.randn(40, 1, generator=rng).double()
    learner = build(("ridge", {}, "regression"), "identity", (5,))
    of_line, of_noise = (learner.adapt(Support(x, y, None)) for y in (line, noise))
    assert_close(of_line["weight"][[0, -1], 0], torch.tensor([3.0, 1.0]).double(), rtol=1e-3, atol=1e-3)
    assert of_line["variance"] < 1e-4
    assert of_noise["variance"] > 0.5


def test_the_scale_of_the_embedding_does_not_matter() -> None:
    episode = draw("classification")
    learner = build(("ridge", {}, "classification"), "identity")
    large = Support(1000 * episode.support.x, episode.support.y, 3)
    small = learner.predict(learner.adapt(episode.support), episode.x)
    assert_close(answers(learner.predict(learner.adapt(large), 1000 * episode.x)), answers(small))


def test_nine_tenths_of_the_truth_lies_within_the_ninety_percent_interval() -> None:
    rng = torch.Generator().manual_seed(0)
    learner, inside = build(("ridge", {}, "regression"), "identity", (3,)), []
    for _ in range(100):
        x, w = torch.randn(40, 3, generator=rng).double(), torch.randn(3, 1, generator=rng).double()
        y = x @ w + 0.5 * torch.randn(40, 1, generator=rng).double()
        prediction = learner.predict(learner.adapt(Support(x[:20], y[:20], None)), x[20:])
        assert isinstance(prediction, Gaussian)
        inside.append(((y[20:] - prediction.mean).abs() < 1.645 * prediction.variance.sqrt()).double().mean())
    assert 0.84 < torch.stack(inside).mean() < 0.96


def test_several_penalties_at_once_are_each_alone() -> None:
    rng = torch.Generator().manual_seed(0)
    penalties = torch.tensor([1e-6, 0.3, 100.0]).double()
    for features in (3, 12):
        x, y = torch.randn(8, features, generator=rng).double(), torch.randn(8, 2, generator=rng).double()
        x[1] = x[0]  # one eigenvalue is zero
        together, alone = ridge(x, y, penalties), [ridge(x, y, one[None]) for one in penalties]
        assert_close(weights(together), torch.cat([weights(fit) for fit in alone]))
        assert_close(together.left_out, torch.cat([fit.left_out for fit in alone]))


def test_penalty_and_scale_are_those_of_the_likeliest_left_out() -> None:
    rng = torch.Generator().manual_seed(0)
    left_out, y = torch.randn(3, 10, 4, generator=rng).double(), torch.arange(10) % 4
    losses = [[F.cross_entropy(scale * one, y).item() for scale in SCALES] for one in left_out]
    best = min(range(3), key=lambda g: min(losses[g]))
    penalty, scale = choose(left_out, Support(torch.zeros(10, 1), y, 4))
    assert (penalty, scale.item()) == (best, SCALES[losses[best].index(min(losses[best]))])


@pytest.mark.parametrize("features", [3, 30])  # the primal and the dual form
def test_the_chosen_penalty_and_scale_are_those_of_refitting_without_each(features: int) -> None:
    rng = torch.Generator().manual_seed(features)
    y = torch.arange(12) % 3
    z = torch.randn(12, features, generator=rng) + F.one_hot(y, features)
    x, size = scaled(z.double())
    target, fits = 2 * F.one_hot(y, 3).double() - 1, []
    for penalty in PENALTIES:
        others = [torch.arange(12) != i for i in range(12)]
        told = torch.stack([x[i] @ solved(x[rest], target[rest], penalty) for i, rest in enumerate(others)])
        fits += [(F.cross_entropy(scale * told, y).item(), penalty, scale) for scale in SCALES]
    _, penalty, scale = min(fits)
    weight = scale * solved(x, target, penalty)
    weight[:-1] /= size
    with torch.no_grad():
        found = build(("ridge", {}, "classification"), "identity", (features,)).adapt(Support(z, y, 3))["weight"]
    assert_close(found, weight.float(), rtol=1e-5, atol=1e-5)


def solved(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    """The normal equations as they are written."""
    weight: Tensor = torch.linalg.solve(x.T @ x + penalty * torch.eye(x.shape[1]).double(), x.T @ y)
    return weight

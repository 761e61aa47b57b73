import math

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.testing import assert_close

from meta_core.learner import Learner
from meta_core.types import Support
from tests.learners.cases import answers, build


def task(ways: int, shots: int, dimension: int, scale: float = 1.0) -> Support:
    rng = torch.Generator().manual_seed(ways)
    y = torch.arange(ways).repeat(shots)
    centres = torch.randn(ways, dimension, generator=rng)
    return Support(scale * (centres[y] + torch.randn(len(y), dimension, generator=rng)).double(), y, ways)


def sklearn_weight(support: Support, c: float) -> tuple[Tensor, Tensor]:
    reference = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(support.x.numpy(), support.y.numpy())
    return torch.from_numpy(reference.coef_.T), torch.from_numpy(reference.intercept_)


@pytest.mark.parametrize(("ways", "shots", "dimension"), [(3, 4, 2), (5, 1, 16), (10, 5, 24)])
@pytest.mark.parametrize("c", [0.1, 1.0, 30.0])
def test_weights_are_those_of_scikit_learn(ways: int, shots: int, dimension: int, c: float) -> None:
    support = task(ways, shots, dimension)
    learner = build(("logistic", {"inverse_penalty": c}, "classification"), "identity", (dimension,))
    weight = learner.adapt(support)["weight"].detach()
    coefficients, intercepts = sklearn_weight(support, c)
    assert_close(weight[:-1], coefficients, rtol=1e-4, atol=1e-4)
    assert_close(weight[-1], intercepts - intercepts.mean(), rtol=1e-4, atol=1e-4)


def test_two_classes_are_those_of_scikit_learn_too() -> None:
    support = task(2, 6, 3)
    learner = build(("logistic", {}, "classification"), "identity", (3,))
    weight = learner.adapt(support)["weight"].detach()
    coefficients, intercept = sklearn_weight(support, 1.0)
    assert_close(weight[:-1, 1] - weight[:-1, 0], coefficients[:, 0], rtol=1e-4, atol=1e-4)
    assert_close(weight[-1, 1] - weight[-1, 0], intercept[0], rtol=1e-4, atol=1e-4)


def test_the_implicit_gradient_is_the_slope_of_every_weight() -> None:
    learner, support = build(("logistic", {}, "classification"), "identity", (2,)), task(3, 3, 2)

    def weight(x: Tensor, log_c: Tensor) -> Tensor:
        return torch.func.functional_call(
            _Adapting(learner), {"learner.log_inverse_penalty": log_c}, (Support(x, support.y, 3),)
        )

    inputs = (support.x.clone().requires_grad_(), torch.tensor(0.3, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(weight, inputs, eps=1e-5, atol=1e-5)


class _Adapting(torch.nn.Module):
    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, support: Support) -> Tensor:
        return self.learner.adapt(support)["weight"]


def test_leaving_one_out_is_refitting_without_it() -> None:
    learner, support = build(("logistic", {}, "classification"), "identity", (6,)), task(4, 4, 6)
    left_out = torch.tensor([0, 7, 13])
    slow = super(type(learner), learner).leave_one_out(support, left_out)
    assert_close(answers(learner.leave_one_out(support, left_out)), answers(slow).detach(), rtol=0, atol=1e-3)


def test_separable_classes_and_a_weak_penalty_still_converge() -> None:
    support = task(20, 5, 64, scale=20.0)
    learner = build(("logistic", {"inverse_penalty": 1e6}, "classification"), "identity", (64,))
    prediction = learner.predict(learner.adapt(support), support.x)
    assert prediction.nll(support.y).max() < math.log(1.01)


def test_of_many_classes_leaving_one_out_moves_those_that_matter() -> None:
    learner, support = (
        build(("logistic", {"inverse_penalty": 10.0}, "classification"), "identity", (24,)),
        task(40, 4, 24),
    )
    left_out = torch.arange(0, 160, 23)
    slow = answers(super(type(learner), learner).leave_one_out(support, left_out)).detach()
    true = torch.arange(len(left_out)), support.y[left_out]
    state, fast = learner.adapt_and_leave_out(support, left_out)
    assert_close(answers(fast)[true], slow[true], rtol=0, atol=0.1)
    assert_close(state["weight"], learner.adapt(support)["weight"].detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [0.03, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wrong_labels_among_clear_ones_still_converge(scale: float, dtype: torch.dtype) -> None:
    support = task(20, 6, 16, scale)
    noisy = Support(support.x.to(dtype) + 3 * scale, torch.where(torch.arange(120) % 7 == 0, 3, support.y), 20)
    learner = build(("logistic", {"inverse_penalty": 30.0}, "classification"), "identity", (16,))
    w = learner.adapt(noisy)["weight"].detach().double()
    x = torch.cat([noisy.x.double(), torch.ones(120, 1)], -1)
    slope = x.T @ ((x @ w).softmax(-1) - noisy.one_hot().double())
    slope[:-1] += w[:-1] / 30
    assert slope.norm() < 1e-4 * (x.T @ (1 / 20 - noisy.one_hot().double())).norm()

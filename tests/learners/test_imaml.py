import torch
from torch.testing import assert_close

from meta_core.types import Support
from tests.learners.cases import build, draw

SETTINGS = {"steps": 1000, "rate": 0.1, "attraction": 0.7, "precision": 1e-10}


def test_a_linear_task_ends_and_differentiates_in_closed_form() -> None:
    learner, support = build(("imaml", SETTINGS, "regression"), "identity"), draw("regression").support
    x = torch.cat([support.x, torch.ones(len(support), 1)], -1)
    start = torch.cat([learner.head.weight, learner.head.bias[None]])
    # min ‖Xφ − y‖²/N + λ/2 ‖φ − θ‖² for each target
    hessian = 2 * x.T @ x / len(x) + 0.7 * torch.eye(5)
    expected = torch.linalg.solve(hessian, 2 * x.T @ support.y / len(x) + 0.7 * start[:, None])  # [5, 2]
    state = learner.adapt(Support(support.x, support.y, None))
    found = torch.cat([state["head.weight"], state["head.bias"][:, None]], -1).T
    assert_close(found, expected)
    slope = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    leaves = [learner.head.weight, learner.head.bias]
    assert_close(*[torch.autograd.grad((value * slope).sum(), leaves) for value in (found, expected)])


def test_at_the_minimum_the_meta_gradient_is_the_slope_of_the_meta_loss() -> None:
    learner, episode = build(("imaml", SETTINGS | {"attraction": 2.0}, "classification")), draw("classification")
    learner.meta_loss(episode).backward()
    weight, step = learner.backbone.layers[0].weight, 1e-4
    with torch.no_grad():
        weight[0, 0] += step
        above = learner.meta_loss(episode)
        weight[0, 0] -= 2 * step
        below = learner.meta_loss(episode)
    assert_close((above - below) / (2 * step), weight.grad[0, 0], rtol=1e-4, atol=1e-6)

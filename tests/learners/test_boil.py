import copy

import torch
from torch.nn import functional as F
from torch.testing import assert_close

from tests.learners.cases import build, draw


def test_adapting_is_gradient_descent_of_the_body_under_a_fixed_head() -> None:
    learner, support = build(("boil", {"steps": 3, "rate": 0.05}, "classification")), draw("classification").support
    body = copy.deepcopy(learner.backbone)
    with torch.no_grad():
        means = torch.stack([body(support.x[support.y == c]).mean(0) for c in range(3)])
    optimizer = torch.optim.SGD(body.parameters(), 0.05)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(-torch.cdist(body(support.x), means).square(), support.y).backward()
        optimizer.step()
    state = learner.adapt(support)
    assert_close(state["head.weight"], 2 * means)
    for name, parameter in body.named_parameters():
        assert_close(state[f"backbone.{name}"], parameter)

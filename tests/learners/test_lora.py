import copy

import sklearn.linear_model
import sklearn.model_selection
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from meta_core.backbone import build_backbone
from meta_core.learner import build_learner
from meta_core.learners.ridge import PENALTIES, with_constant
from tests.learners.cases import build, draw


def test_the_factors_are_those_of_stochastic_gradient_descent_by_hand() -> None:
    learner, support = build(("lora", {"steps": 3, "rank": 2}, "classification")), draw("classification").support
    state = learner.adapt(support)
    layer = copy.deepcopy(learner.backbone).layers[0]
    with torch.no_grad():
        z = layer(support.x).relu()
        centre, size = z.mean(0), (z - z.mean(0)).square().sum(-1).mean().sqrt()
        means = torch.stack([((z - centre) / size)[support.y == c].mean(0) for c in range(3)])
    up, down = torch.zeros(16, 2).double(), learner.down[0].detach().clone()
    leaves = [up, down, 8 * means, -4 * means.square().sum(-1)]
    optimizer = torch.optim.SGD([leaf.requires_grad_() for leaf in leaves], 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        z = F.linear(support.x, layer.weight + up @ down, layer.bias).relu()
        F.cross_entropy(F.linear((z - centre) / size, leaves[2], leaves[3]), support.y).backward()
        optimizer.step()
    names = ("up.layers.0", "down.layers.0", "head.weight", "head.bias")
    assert_close([state[name].detach() for name in names], [leaf.detach() for leaf in leaves])


def test_a_body_with_running_statistics_keeps_them_and_its_weights_even_in_training() -> None:
    body = build_backbone("conv4", (1, 16, 16), {"width": 16})
    learner, episode = build_learner("lora", body, {}, "classification").train(), draw("classification", (1, 16, 16))
    weights = copy.deepcopy(body.state_dict())
    support = type(episode.support)(episode.support.x.float(), episode.support.y, 3)
    state = learner.adapt(support)
    assert_close(dict(body.state_dict()), dict(weights), rtol=0, atol=0)
    assert state["up.blocks.0.0"].shape == (16, 4)
    assert state["down.blocks.1.0"].shape == (4, 16 * 9)
    assert state["up.blocks.3.0"].any()


def test_the_last_block_changes_alone_and_what_comes_before_it_is_run_once() -> None:
    body = build_backbone("conv4", (1, 16, 16), {"width": 16})
    learner, episode = (
        build_learner("lora", body, {"body": "last"}, "classification"),
        draw("classification", (1, 16, 16)),
    )
    h = learner.eval().encode(episode.support.x.float())
    assert h.shape == (9, 16, 2, 2)
    state = learner.adapt(type(episode.support)(h, episode.support.y, 3))
    assert {name for name in state if name.startswith("up.")} == {"up.blocks.3.0"}
    assert sum(value.numel() for value in state.values()) < 2000


def test_a_regression_starts_from_ridge_regression_and_gets_nearer() -> None:
    learner, support = build(("lora", {"steps": 1, "rate": 1e-9}, "regression")), draw("regression").support
    z = learner.backbone(support.x).detach()
    z, y = (z - z.mean(0)) / (z - z.mean(0)).square().sum(-1).mean().sqrt(), support.y
    predicted = learner.predict(learner.adapt(support), support.x).mean
    errors = []
    for penalty in PENALTIES:
        model = sklearn.linear_model.Ridge(penalty, fit_intercept=False)
        rows, targets = with_constant(z).numpy(), ((y - y.mean(0)) / y.std(0, correction=0)).numpy()
        left_out = sklearn.model_selection.cross_val_predict(model, rows, targets, cv=len(y))
        errors.append((((left_out - targets) ** 2).sum(), model.fit(rows, targets).predict(rows)))
    expected = torch.from_numpy(min(errors, key=lambda pair: pair[0])[1]) * y.std(0, correction=0) + y.mean(0)
    assert_close(predicted, expected, atol=1e-5, rtol=1e-5)
    learner.config = learner.config.model_copy(update={"steps": 20, "rate": 0.1})
    nearer = learner.predict(learner.adapt(support), support.x).mean
    assert (nearer - y).square().mean() < (predicted - y).square().mean()


def test_the_change_of_a_layer_is_of_low_rank() -> None:
    learner, support = build(("lora", {"rank": 1}, "classification")), draw("classification").support
    state = learner.adapt(support)
    assert torch.linalg.matrix_rank(state["up.layers.0"] @ state["down.layers.0"]) == 1


def test_steps_that_would_diverge_are_made_smaller() -> None:
    learner, episode = build(("lora", {"steps": 20, "rate": 3.0}, "classification")), draw("classification")
    learner.backbone.layers[0].weight.data.mul_(0.1)
    learner.backbone.layers[0].bias.data.mul_(0.1)
    support = episode.support
    state = learner.adapt(support)
    answered = learner.predict(state, support.x).nll(support.y).mean()
    start = copy.deepcopy(learner)
    start.config = learner.config.model_copy(update={"rate": 1e-12})
    assert answered < start.predict(start.adapt(support), support.x).nll(support.y).mean()

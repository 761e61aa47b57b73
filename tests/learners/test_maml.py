import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from meta_core.backbone import build_backbone
from meta_core.errors import InvalidParameter
from meta_core.learner import build_learner
from meta_core.types import State
from tests.learners.cases import build, draw


def test_adapting_is_stochastic_gradient_descent_on_the_support() -> None:
    learner, episode = build(("maml", {"steps": 3, "rate": 0.05}, "classification")), draw("classification")
    body, head = copy.deepcopy(learner.backbone), nn.Linear(learner.backbone.dimension, 3).double()
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    network = nn.Sequential(body, head)
    optimizer = torch.optim.SGD(network.parameters(), 0.05)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(network(episode.support.x), episode.support.y).backward()
        optimizer.step()
    state = learner.adapt(episode.support)
    assert_close(state["head.weight"], head.weight)
    assert_close(state["backbone.layers.0.weight"], body.layers[0].weight)
    expected = network(episode.x).log_softmax(-1)
    assert_close(learner.predict(state, episode.x).log_probabilities, expected)


@pytest.mark.parametrize("norm", ["group", "fixed"])
def test_the_meta_gradient_does_not_depend_on_how_the_body_is_laid_out(norm: str) -> None:
    """Beside the usual form: channels first, ReLU before pooling."""
    torch.manual_seed(0)
    body = build_backbone("conv4", (1, 16, 16), {"width": 8, "norm": norm}).double()
    learner = build_learner("maml", body, {"steps": 2}, "classification")
    episode = draw("classification", (1, 16, 16))
    learner.meta_loss(episode).backward()
    usual = [p.detach().clone(memory_format=torch.contiguous_format).requires_grad_() for p in body.parameters()]
    head = torch.zeros(episode.support.ways or 0, 8, dtype=torch.double, requires_grad=True)
    bias = torch.zeros(len(head), dtype=torch.double, requires_grad=True)
    leaves = [*usual, head, bias]
    for _ in range(2):
        loss = F.cross_entropy(_usual_form(episode.support.x, leaves, norm), episode.support.y)
        slopes = torch.autograd.grad(loss, leaves, create_graph=True)
        leaves = [leaf - 0.1 * slope for leaf, slope in zip(leaves, slopes, strict=True)]
    F.cross_entropy(_usual_form(episode.x, leaves, norm), episode.y).backward()
    for parameter, expected in zip(body.parameters(), usual, strict=True):
        assert expected.grad is not None
        assert (parameter.grad - expected.grad).norm() <= 1e-3 * expected.grad.norm() + 1e-12


def _usual_form(x: torch.Tensor, leaves: list[torch.Tensor], norm: str) -> torch.Tensor:
    z = x
    for block in range(4):
        weight, bias, scale, shift = leaves[4 * block : 4 * block + 4]
        z = F.conv2d(z, weight, bias, padding=1)
        if norm == "group":
            z = F.group_norm(z, 8, scale, shift)
        else:
            z = F.batch_norm(z, torch.zeros(8).double(), torch.ones(8).double(), scale, shift)
        z = F.max_pool2d(F.relu(z), 2)
    return F.linear(z.flatten(1), *leaves[-2:])


def test_first_order_is_the_gradient_at_the_adapted_weights() -> None:
    learner, episode = build(("maml", {"steps": 2, "first_order": True}, "regression")), draw("regression")
    learner.meta_loss(episode).backward()
    state = {name: value.detach().requires_grad_() for name, value in learner.adapt(episode.support).items()}
    learner.predict(state, episode.x).nll(episode.y).mean().backward()
    for name, parameter in learner.backbone.named_parameters():
        assert_close(parameter.grad, state[f"backbone.{name}"].grad)
    assert_close(learner.head.weight.grad, state["head.weight"].grad.sum(0))  # both targets start from it


def test_first_order_says_so_and_the_second_order_does_not() -> None:
    assert build(("maml", {"first_order": True}, "regression")).first_order
    assert not build(("maml", {}, "regression")).first_order


def test_a_body_with_running_statistics_cannot_be_adapted() -> None:
    with pytest.raises(InvalidParameter, match="running batch statistics"):
        build_learner("maml", build_backbone("conv4", (1, 16, 16), {}), {}, "classification")


def test_a_rate_for_each_tensor_and_step_scales_that_step_of_that_tensor() -> None:
    learner = build(("maml", {"steps": 3, "layer_rates": 2}, "regression"), "identity")
    learner.rates.data[0], learner.rates.data[1] = 1.0, torch.tensor([-1.0, 0.5])  # head.weight rests after one step
    path: list[State] = []
    learner.descend(draw("regression").support, path.append)
    one, two, three = path
    assert not torch.equal(one["head.weight"], learner.start(draw("regression").support)["head.weight"])
    assert_close(three["head.weight"], one["head.weight"])
    slope = 2 * (two["head.bias"] - draw("regression").support.y.mean(0)) + 2 * (
        draw("regression").support.x.mean(0) @ two["head.weight"].T
    )
    assert_close(three["head.bias"], two["head.bias"] - 0.1 * 1.5 * slope)


def test_the_multi_step_loss_is_the_weighted_loss_after_each_step() -> None:
    episode = draw("classification")
    after = [build(("maml", {"steps": k}, "classification")).meta_loss(episode) for k in (1, 2, 3)]
    learner = build(("maml", {"steps": 3, "multi_step": 0.6}, "classification"))
    expected = 0.2 * after[0] + 0.2 * after[1] + 0.6 * after[2]
    assert_close(learner.meta_loss(episode), expected)


@pytest.mark.parametrize(("done", "share"), [(0.0, 0.6), (0.25, 0.3), (0.5, 0.0), (0.9, 0.0)])
def test_the_earlier_steps_count_less_the_more_of_the_training_is_done(done: float, share: float) -> None:
    fading = build(("maml", {"steps": 3, "multi_step": 0.6, "multi_step_until": 0.5}, "classification"))
    fading.hear_progress(done)
    fixed = build(("maml", {"steps": 3, "multi_step": share}, "classification"))
    assert_close(fading.meta_loss(draw("classification")), fixed.meta_loss(draw("classification")))


@pytest.mark.parametrize("name", ["maml", "protomaml", "metasgd"])
def test_a_body_may_be_normalised_by_the_support_alone(name: str) -> None:
    torch.manual_seed(0)
    body = build_backbone("conv4", (1, 16, 16), {"norm": "support", "width": 8})
    learner = build_learner(name, body, {"steps": 1}, "classification").double()
    episode = draw("classification", (1, 16, 16))
    state = learner.adapt(episode.support)
    batch = build_backbone("conv4", (1, 16, 16), {"norm": "batch", "width": 8}).double()  # normalises by what it sees
    batch.load_state_dict({key.removeprefix("backbone."): value for key, value in state.items()}, strict=False)
    assert_close(learner.embed(state, episode.support.x), batch(episode.support.x))
    together = learner.predict(state, episode.x).log_probabilities
    assert_close(learner.predict(state, episode.x[:1]).log_probabilities, together[:1])
    learner.meta_loss(episode).backward()
    assert all(value.grad is not None for value in body.parameters())


def test_a_learner_that_keeps_no_statistics_refuses_such_a_body() -> None:
    with pytest.raises(InvalidParameter, match="keeps no statistics"):
        build_learner("protonet", build_backbone("conv4", (1, 16, 16), {"norm": "support"}), {}, "classification")

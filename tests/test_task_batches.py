"""Tasks in one pass and one after the other."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from meta_core.backbone import build_backbone
from meta_core.learner import Learner, build_learner
from meta_core.task_batches import losses_in_one_pass, shares_of_mean_loss
from meta_core.types import Episode, Support
from tests.learners.cases import BODIES, Case, build, cases, draw


def tasks(case: Case, body: str) -> list[Episode]:
    shape, rng = BODIES[body][0], torch.Generator().manual_seed(0)
    episode = draw(case[2], shape)
    y, x = episode.support.y, episode.support.x
    inputs = [x + torch.randn(x.shape, generator=rng, dtype=x.dtype) for _ in range(3)]
    return [Episode(Support(one, y, episode.support.ways), episode.x, episode.y) for one in inputs]


def gradients(learner: Learner, losses: list[Tensor]) -> list[Tensor]:
    learner.zero_grad()
    for loss in losses:
        loss.backward()
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in learner.parameters()]


@pytest.mark.parametrize("case", cases())
def test_all_in_one_pass_have_the_gradient_of_one_after_the_other(case: Case) -> None:
    learner, episodes = build(case), tasks(case, "mlp")
    if not learner.batches_tasks:
        pytest.skip("it takes tasks one after the other")
    together = list(shares_of_mean_loss(learner, episodes, len(episodes)))
    assert len(together) == 1
    expected = gradients(learner, [learner.meta_loss(episode) / 3 for episode in episodes])
    assert_close(gradients(learner, together), expected, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("body", ["mlp", "conv4"])
def test_tasks_of_different_sizes_and_convolutions_on_a_cpu_go_one_by_one(body: str) -> None:
    case: Case = ("maml", {"steps": 1}, "classification")
    learner, episodes = build(case, body), tasks(case, body)
    if body == "mlp":
        episodes.append(draw("classification", counts=(2, 2)))
    losses = list(shares_of_mean_loss(learner, episodes, len(episodes)))
    assert len(losses) == len(episodes)
    assert_close(sum(losses), sum(learner.meta_loss(episode) for episode in episodes) / len(episodes))


@pytest.mark.parametrize("norm", ["group", "fixed", "support"])
@pytest.mark.parametrize("name", ["maml", "protomaml"])
def test_convolutions_have_the_same_gradient_in_one_pass(name: str, norm: str) -> None:
    torch.manual_seed(0)
    body = build_backbone("conv4", BODIES["conv4"][0], {"width": 16, "norm": norm})
    learner = build_learner(name, body, {"steps": 2, "rate": 0.05}, "classification").double()
    episodes = tasks((name, {}, "classification"), "conv4")
    expected = gradients(learner, [learner.meta_loss(episode) for episode in episodes])
    assert_close(gradients(learner, [losses_in_one_pass(learner, episodes).sum()]), expected, rtol=1e-6, atol=1e-10)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["maml", "protonet", "anil"])
def test_convolutions_on_a_gpu_go_in_one_pass(name: str) -> None:
    case: Case = (name, {}, "classification")
    learner = build(case, "conv4").cuda()
    episodes = [episode.to(torch.device("cuda")) for episode in tasks(case, "conv4")]
    together = list(shares_of_mean_loss(learner, episodes, len(episodes)))
    assert len(together) == 1
    expected = gradients(learner, [learner.meta_loss(episode) / 3 for episode in episodes])
    assert_close(gradients(learner, together), expected, rtol=1e-6, atol=1e-10)

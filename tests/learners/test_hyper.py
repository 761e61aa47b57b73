import math

import torch
from torch.testing import assert_close

from meta_core.types import Support
from tests.learners.cases import build, draw


def test_silent_networks_leave_the_nearest_mean() -> None:
    learner, episode = build(("hyper", {}, "classification"), "identity"), draw("classification")
    learner.block[1].weight.data.zero_()
    learner.writer.last.weight.data.zero_()
    support = episode.support
    means = torch.stack([support.x[support.y == c].mean(0) for c in range(3)])
    expected = (-torch.cdist(episode.x, means).square()).log_softmax(-1)
    assert_close(learner.predict(learner.adapt(support), episode.x).log_probabilities, expected)


def test_the_block_is_modulated_by_hand() -> None:
    learner = build(("hyper", {"width": 4}, "classification"), "identity", (1,))
    into, out = learner.block
    into.weight.data, out.weight.data = torch.ones(4, 1).double(), torch.full((1, 4), 0.25).double()
    gamma, beta = torch.full((4,), 1.0).double(), torch.full((4,), -2.0).double()
    # z + silu(2z − 2): 0 at z = 1 in the silu, 2·σ(2) at z = 2
    modulated = learner._modulated(torch.tensor([[1.0], [2.0]]).double(), gamma, beta)
    assert_close(modulated.detach(), torch.tensor([[1.0], [2 + 2 / (1 + math.exp(-2))]]).double())


def test_one_task_modulates_another_way_than_the_next() -> None:
    learner, support = build(("hyper", {}, "classification"), "identity"), draw("classification").support
    moved = Support(support.x + 1, support.y, 3)
    assert not torch.allclose(learner.adapt(support)["gamma"], learner.adapt(moved)["gamma"])

import torch
from torch.testing import assert_close

from meta_core.types import Support
from tests.learners.cases import build, draw


def test_a_map_that_moves_nothing_is_ridge() -> None:
    mapped = build(("weightmap", {}, "classification"), "identity")
    plain = build(("ridge", {"penalty": 0.3}, "classification"), "identity")
    mapped.map.last.weight.data.zero_()
    support = draw("classification").support
    assert_close(mapped.adapt(support)["weight"], plain.adapt(support)["weight"])


def test_training_brings_the_weights_of_few_closer_to_those_of_many() -> None:
    learner = build(("weightmap", {"likeness": 1.0, "width": 32}, "classification"), "identity", (4,)).float()
    plain = build(("ridge", {"penalty": 0.3}, "classification"), "identity", (4,)).float()
    rng = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(learner.map.parameters(), 3e-3)

    def task() -> tuple[Support, Support]:
        """Six examples, and 200, of classes that differ in the first of four numbers only."""
        y = torch.arange(200) % 2
        x = torch.randn(200, 4, generator=rng)
        x[:, 0] += 3.0 * y
        return Support(x[:6], y[:6], 2), Support(x, y, 2)

    def distance(few: Support, many: Support) -> torch.Tensor:
        target = plain.adapt(many)["weight"].detach()
        return (learner.adapt(few)["weight"] - target).square().sum() / target.square().sum()

    held_out = [task() for _ in range(20)]
    before = sum(distance(*pair).item() for pair in held_out)
    for _ in range(150):
        optimizer.zero_grad()
        distance(*task()).backward()
        optimizer.step()
    assert sum(distance(*pair).item() for pair in held_out) < 0.5 * before


def test_the_meta_loss_is_likelihood_and_likeness() -> None:
    episode = draw("classification")
    alike, free = (build(("weightmap", {"likeness": v}, "classification"), "identity") for v in (2.0, 0.0))
    plain = build(("ridge", {"penalty": 0.3}, "classification"), "identity")
    together = Support(torch.cat([episode.support.x, episode.x]), torch.cat([episode.support.y, episode.y]), 3)
    many, found = plain.adapt(together)["weight"], free.adapt(episode.support)["weight"]
    expected = 2 * (found - many).square().sum() / many.square().sum()
    assert_close(alike.meta_loss(episode) - free.meta_loss(episode), expected)

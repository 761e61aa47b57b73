import torch
from torch.testing import assert_close

from tests.learners.cases import build, draw


def test_without_a_step_worth_the_name_it_is_the_prototypical_network() -> None:
    episode = draw("classification")
    learner, protonet = (
        build((name, values, "classification")) for name, values in (("protomaml", {"rate": 1e-12}), ("protonet", {}))
    )
    expected = protonet.predict(
        protonet.adapt(type(episode.support)(protonet.encode(episode.support.x), episode.support.y, 3)),
        protonet.encode(episode.x),
    )
    state = learner.adapt(episode.support)
    assert_close(learner.predict(state, episode.x).log_probabilities, expected.log_probabilities)


def test_the_means_carry_a_gradient_into_the_body() -> None:
    learner, support = build(("protomaml", {"first_order": True}, "classification")), draw("classification").support
    learner.start(support)["head.bias"].sum().backward()
    assert all(p.grad is not None and torch.any(p.grad != 0) for p in learner.backbone.parameters())

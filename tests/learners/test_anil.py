import pytest
import torch
from torch.testing import assert_close

from meta_core.types import Episode, Support
from tests.learners.cases import build, draw

X, Y = torch.tensor([[1.0], [2.0], [3.0]]).double(), torch.tensor([[2.0], [3.0], [7.0]]).double()


def test_one_step_on_three_points_by_hand() -> None:
    learner = build(("anil", {"steps": 1, "rate": 0.1}, "regression"), "identity", (1,))
    learner.head.weight.data.fill_(1.0)
    learner.head.bias.data.fill_(0.0)
    # residuals w·x + b − y = −1, −1, −4; slopes 2/3 · Σ r·x = −10 and 2/3 · Σ r = −4
    state = learner.adapt(Support(X, Y, None))
    assert_close(state["head.weight"].detach(), torch.tensor([[2.0]]).double())
    assert_close(state["head.bias"].detach(), torch.tensor([0.4]).double())


@pytest.mark.parametrize(("first_order", "by_weight"), [(False, 1 - 0.1 * 2 * 14 / 3 - 0.1 * 2 * 2), (True, 1.0)])
def test_only_the_second_order_sees_the_inner_curvature(first_order: bool, by_weight: float) -> None:
    learner = build(("anil", {"steps": 1, "rate": 0.1, "first_order": first_order}, "regression"), "identity", (1,))
    state = learner.adapt(Support(X, Y, None))
    # w′ + b′ moves by 1 − 0.1 · 2/3 · Σ x² − 0.1 · 2/3 · Σ x with w, and by 1 if the inner slope is a constant
    (state["head.weight"] + state["head.bias"]).sum().backward()
    assert_close(learner.head.weight.grad, torch.tensor([by_weight]).double())


def test_a_shared_start_of_all_classes_has_no_effect() -> None:
    learner, support = build(("anil", {}, "classification"), "identity"), draw("classification").support
    start = learner.head.start(support)
    shared = {name: value + 1.7 for name, value in start.items()}
    learner.head.start = lambda support: shared
    moved = learner.predict(learner.adapt(support), support.x)
    del learner.head.start
    assert_close(moved.log_probabilities, learner.predict(learner.adapt(support), support.x).log_probabilities)


def test_the_body_is_meta_trained_through_the_head() -> None:
    learner = build(("anil", {"steps": 1}, "classification"))
    support = draw("classification").support
    learner.meta_loss(Episode(support, support.x, support.y)).backward()
    assert all(p.grad is not None for p in learner.backbone.parameters())


@pytest.mark.parametrize("ways", [2, 4])
def test_a_standardised_head_learns_from_and_answers_standardised_embeddings(ways: int) -> None:
    episode = draw("classification", counts=[3] * ways)
    z, y = 100 + 7 * episode.support.x, episode.support.y
    learner = build(("anil", {"standardised": True}, "classification"), "identity")
    state = learner.adapt(Support(z, y, ways))
    plain = build(("anil", {}, "classification"), "identity")
    size = z.std(0, correction=0).square().mean().sqrt() / ways**0.5
    expected = plain.adapt(Support((z - z.mean(0)) / size, y, ways))
    assert_close(state["head.weight"], expected["head.weight"])
    queries = 100 + 7 * episode.x
    answered = learner.predict(state, queries).log_probabilities
    assert_close(answered, plain.predict(expected, (queries - z.mean(0)) / size).log_probabilities)

import torch
from torch.testing import assert_close

from meta_core.row_order import canonical_orders
from meta_core.types import Support
from tests.learners.cases import adapted, answers, build, draw


def test_two_examples_are_written_by_hand() -> None:
    learner = build(("mann", {"slots": 3, "orders": 1}, "classification"), "identity")
    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)).double()
    x = x[canonical_orders(x, 1)[0]]
    state = learner.adapt(Support(x, torch.tensor([0, 1]), 2))
    zero = torch.zeros(1, 64).double()
    for c, label in ((0, 1.0), (1, -1.0)):
        first = learner.controller(torch.cat([x[:1], torch.tensor([[0.0]]).double()], -1), (zero, zero))
        second = learner.controller(torch.cat([x[1:], torch.tensor([[label]]).double()], -1), first)  # one step late
        keys = [
            learner.key(torch.cat([h, z], -1)).tanh() for (h, _), z in zip((first, second), x[:, None], strict=True)
        ]
        # the first goes half into slot 0; it is read mostly from there, and slot 1 is the least used after it
        slots = torch.zeros(3, 32).double()
        slots[0] = keys[0] / 2
        read = (8 * torch.nn.functional.cosine_similarity(keys[0], slots)).softmax(0)
        slots = slots + (read / 2)[:, None] * keys[1]
        slots[1] += keys[1][0] / 2
        assert_close(state["slots"][0, c], slots)
        assert_close(state["hidden"][0, c], second[0][0])
    assert_close(state["label"], torch.tensor([[-1.0, 1.0]]).double())


def test_several_orders_are_the_mean_of_each() -> None:
    learner, episode = build(("mann", {"orders": 3}, "classification")), draw("classification")
    state, z = adapted(learner, episode.support), learner.encode(episode.x)
    each = [learner.predict({name: value[i : i + 1] for name, value in state.items()}, z) for i in range(3)]
    mean = torch.stack([answers(one) for one in each]).mean(0).log_softmax(-1)
    assert_close(answers(learner.predict(state, z)), mean)
    assert not answers(each[0]).allclose(answers(each[1]))


def test_more_examples_than_slots_leave_finite_answers() -> None:
    learner, episode = build(("mann", {"slots": 2}, "classification")), draw("classification", counts=(9, 7))
    assert answers(learner.predict(adapted(learner, episode.support), learner.encode(episode.x))).isfinite().all()


def test_rows_have_the_same_orders_however_they_come() -> None:
    z = torch.relu(torch.randn(50, 6, generator=torch.Generator().manual_seed(0)))
    shuffled = z[torch.randperm(50, generator=torch.Generator().manual_seed(1))]
    assert torch.equal(z[canonical_orders(z, 3)], shuffled[canonical_orders(shuffled, 3)])
    assert len(canonical_orders(z, 3).unique(dim=0)) == 3

import pytest
import torch
from torch.testing import assert_close

from meta_core.types import Support
from tests.learners.cases import build, draw

X, Y = torch.tensor([[1.0], [2.0], [3.0]]).double(), torch.tensor([[2.0], [3.0], [7.0]]).double()


def test_one_step_with_a_negative_rate_by_hand() -> None:
    learner = build(("metasgd", {"steps": 1, "rate": 0.1, "pace": 10.0}, "regression"), "identity", (1,))
    learner.head.weight.data.fill_(1.0)
    learner.head.bias.data.fill_(0.0)
    learner.deltas["head/bias"].data.fill_(-1.5)  # α = 0.1 · (1 − 1.5) = −0.05
    # residuals w·x + b − y = −1, −1, −4; slopes 2/3 · Σ r·x = −10 and 2/3 · Σ r = −4
    state = learner.adapt(Support(X, Y, None))
    assert_close(state["head.weight"].detach(), torch.tensor([[2.0]]).double())
    assert_close(state["head.bias"].detach(), torch.tensor([-0.2]).double())


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_it_starts_as_maml(task: str) -> None:
    support = draw(task).support
    values = {"steps": 2, "rate": 0.05}
    learner, maml = build(("metasgd", values, task)), build(("maml", values, task))
    assert_close(learner.adapt(support), maml.adapt(support))

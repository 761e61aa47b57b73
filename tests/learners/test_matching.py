import math

import torch
from torch.testing import assert_close

from meta_core.learner import Learner
from meta_core.learners.matching import by_class
from meta_core.types import Support
from tests.learners.cases import answers, build, draw


def test_three_points_by_hand() -> None:
    learner = build(("matching", {"scale": 2.0}, "classification"), "identity", (2,))
    x = torch.tensor([[2.0, 0.0], [0.0, 5.0], [-3.0, 0.0]]).double()
    prediction = learner.predict(learner.adapt(Support(x, torch.tensor([0, 1, 1]), 2)), 9 * x[:1])
    attention = [math.exp(2), math.exp(0), math.exp(-2)]  # cosines 1, 0, −1
    expected = torch.tensor([[attention[0], attention[1] + attention[2]]]).double() / sum(attention)
    assert_close(answers(prediction).exp().detach(), expected, rtol=1e-6, atol=1e-6)


def test_leaving_one_out_is_adapting_without_it() -> None:
    learner, support = build(("matching", {}, "classification"), "identity"), draw("classification").support
    left_out = torch.tensor([0, 4, 8])
    slow = Learner.leave_one_out(learner, support, left_out)
    assert_close(answers(learner.leave_one_out(support, left_out)), answers(slow))


def test_a_class_far_from_a_query_has_a_probability_still() -> None:
    logits, members = 300 * torch.rand(4, 12, dtype=torch.double), torch.eye(3, dtype=torch.bool).repeat(4, 1)
    logits[:, 0::3] -= 300
    expected = logits[:, None].masked_fill(~members.T, -torch.inf).logsumexp(-1).log_softmax(-1)
    assert_close(by_class(logits.float(), members), expected.float())

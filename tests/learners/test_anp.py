import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from meta_core.errors import InvalidParameter
from meta_core.learners.anp import softmax_within
from meta_core.types import Support
from tests.learners.cases import answers, build, draw


def test_a_class_is_attended_to_as_pytorch_attends() -> None:
    learner, episode = build(("anp", {"heads": 2}, "classification"), "identity"), draw("classification")
    support = episode.support
    query = learner.query(episode.x).unflatten(-1, (2, -1)).transpose(0, 1)  # [H, Q, K]
    classes = []
    for c in range(3):
        own = support.x[support.y == c]
        keys, read = (z.unflatten(-1, (2, -1)).transpose(0, 1) for z in (learner.key(own), learner.reader(own)))
        classes.append(F.scaled_dot_product_attention(query, keys, read).transpose(0, 1).flatten(1))
    assert_close(learner._attend(learner.adapt(support), episode.x), torch.stack(classes, 1))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_without_a_preference_it_is_the_conditional_neural_process(task: str) -> None:
    attentive, plain = (build((name, {}, task), "identity") for name in ("anp", "cnp"))
    attentive.key.weight.data.zero_()
    plain.load_state_dict(attentive.state_dict(), strict=False)
    episode = draw(task)
    predictions = [answers(one.predict(one.adapt(episode.support), episode.x)) for one in (attentive, plain)]
    assert_close(*predictions)


def test_a_sharp_key_recalls_the_example_itself() -> None:
    learner, support = (
        build(("anp", {"heads": 1, "head_width": 4}, "regression"), "identity"),
        draw("regression").support,
    )
    learner.query.weight.data, learner.key.weight.data = 1e3 * torch.eye(4).double(), torch.eye(4).double()
    learner.query.bias.data.zero_()
    unit = Support(F.normalize(support.x, dim=-1), support.y, None)
    state = learner.adapt(unit)
    assert_close(learner._attend(state, unit.x), state["read"], rtol=1e-4, atol=1e-4)


def test_the_weights_of_a_class_sum_to_one_however_far_it_is() -> None:
    weights = softmax_within(torch.tensor([[0.0, -1e4, 0.0, -1e4]]), torch.tensor([0, 1, 0, 1]), 2)
    assert_close(weights, torch.full((1, 4), 0.5))


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="heads must divide the width 128"):
        build(("anp", {"heads": 3}, "regression"))

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from meta_core.backbone import build_backbone
from meta_core.learner import build_learner
from meta_core.learners.incontext import Layer
from meta_core.types import Support, Task
from tests.learners.cases import answers, build, draw

TASKS: list[Task] = ["classification", "regression"]


@pytest.mark.parametrize("task", TASKS)
def test_the_order_of_columns_and_their_units_do_not_matter(task: Task) -> None:
    learner, episode = build(("incontext", {}, task), "identity"), draw(task)
    support, order = episode.support, torch.tensor([2, 0, 3, 1])

    def changed(x: Tensor) -> Tensor:
        return (x * torch.tensor([1.0, 10.0, 0.1, 3.0]) + 5)[:, order]

    first = learner.predict(learner.adapt(support), episode.x)
    other = learner.predict(learner.adapt(Support(changed(support.x), support.y, support.ways)), changed(episode.x))
    assert_close(answers(other), answers(first))


def test_the_same_weights_read_any_number_of_columns() -> None:
    torch.manual_seed(0)
    narrow, wide = (build_learner("incontext", build_backbone("identity", (d,), {}), {}, "regression") for d in (2, 50))
    wide.load_state_dict(narrow.state_dict())
    support = Support(torch.randn(6, 50), torch.randn(6, 1), None)
    assert answers(wide.predict(wide.adapt(support), torch.randn(3, 50))).isfinite().all()


def test_a_layer_is_the_one_of_pytorch() -> None:
    layer = Layer(heads=2, head_width=3).double()
    theirs = torch.nn.MultiheadAttention(6, 2, batch_first=True).double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key.weight, layer.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([layer.query.bias, torch.zeros(12).double()]))
        theirs.out_proj.load_state_dict(layer.out.state_dict())
        rows, support = torch.randn(2, 4, 6).double(), torch.randn(2, 5, 6).double()
        q, kv = layer.before_attention(rows), layer.before_attention(support)
        expected = rows + theirs(q, kv, kv)[0]
        expected = expected + layer.mlp(layer.before_mlp(expected))
        assert_close(layer(rows, *layer.remember(support)), expected)


def test_a_class_is_told_from_the_others_whatever_they_are_called() -> None:
    learner, episode = build(("incontext", {}, "classification"), "identity"), draw("classification", counts=(4, 4))
    support = episode.support
    first = answers(learner.predict(learner.adapt(support), episode.x))
    other = answers(learner.predict(learner.adapt(Support(support.x, 1 - support.y, 2)), episode.x))
    assert_close(first, other.flip(1))

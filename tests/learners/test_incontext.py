import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.kernel_ridge import KernelRidge
from torch import Tensor
from torch.testing import assert_close

from meta_core.backbone import build_backbone
from meta_core.base import unpack_base
from meta_core.catalogue import SHIPPED
from meta_core.closed_readings import LINEAR_NOISES, NORMAL, fourth_moment_scale, read_queries, read_support
from meta_core.evaluation import answer
from meta_core.learner import build_learner
from meta_core.learners.incontext import Layer
from meta_core.types import Episode, Support, Task
from tests.learners.cases import answers, build, draw

TASKS: list[Task] = ["classification", "regression"]


@pytest.mark.parametrize("closed_forms", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_the_order_of_columns_and_their_units_do_not_matter(task: Task, closed_forms: bool) -> None:
    learner, episode = build(("incontext", {"closed_forms": closed_forms}, task), "identity"), draw(task)
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


def test_the_closed_forms_are_kernel_ridge_regressions_and_leave_out_what_they_answer() -> None:
    rng = torch.Generator().manual_seed(0)
    x, marks, queries = (torch.randn(*shape, generator=rng).double() for shape in ((9, 4), (9, 2), (5, 4)))
    dual, left_out = read_support(x, marks)
    answers = read_queries(dual, x, queries)  # [C, Q, R]
    length, noise = NORMAL[0]
    theirs = {
        0: KernelRidge(alpha=4 * LINEAR_NOISES[0]),
        len(LINEAR_NOISES): KernelRidge(alpha=noise, kernel="rbf", gamma=1 / (2 * 4 * length**2)),
    }
    for place, model in theirs.items():
        np.testing.assert_allclose(answers[:, :, place].T, model.fit(x, marks).predict(queries), atol=1e-8)
        for i in range(len(x)):
            others = np.arange(len(x)) != i
            np.testing.assert_allclose(
                left_out[:, i, place], model.fit(x[others], marks[others]).predict(x[i : i + 1])[0], atol=1e-8
            )


def test_a_rare_category_is_scaled_less_far_out_than_by_its_deviation() -> None:
    rare = torch.zeros(64, 1)
    rare[0] = 1
    standard = (rare - rare.mean()) / rare.std(correction=0)
    assert standard.max() > 7
    assert (standard / fourth_moment_scale(standard)).max() < 3


def test_the_shipped_base_is_surer_of_the_truth_than_logistic_regression() -> None:
    shipped = unpack_base((SHIPPED / "table-incontext.safetensors").read_bytes())
    x, y = (torch.from_numpy(part) for part in load_wine(return_X_y=True))
    x = ((x - x.mean(0)) / x.std(0)).float()
    learned = torch.cat([(y == label).nonzero().flatten()[:5] for label in range(3)])
    episode = Episode(Support(x[learned], y[learned], 3), x, y)
    name, config = shipped.spec.learners["classification"]
    theirs = build(("logistic", {}, "classification"), "identity", (13,)).float()
    ours = shipped.learner_for(name, config, (13,), "classification")
    with torch.no_grad():
        nll, other = (float(answer(learner, episode).nll(y).mean()) for learner in (ours, theirs))
    assert nll < other

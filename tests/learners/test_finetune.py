import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from meta_core.learners.finetune import Choice, Examples, folds
from meta_core.types import Gaussian, Support
from tests.learners.cases import answers, build, draw


def clusters(spread: float, shots: int = 5) -> Support:
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(3).repeat(shots)
    return Support((torch.eye(4)[y] + spread * torch.randn(len(y), 4, generator=rng)).double(), y, 3)


def test_one_example_a_class_is_answered_by_the_nearest_mean() -> None:
    support, queries = clusters(0.1, shots=1), clusters(0.3).x
    learner = build(("finetune", {}, "classification"), "identity")
    size = (support.x - support.x.mean(0)).square().sum(-1).mean()
    expected = (-4 * torch.cdist(queries, support.x).square() / size).log_softmax(-1)
    assert_close(learner.predict(learner.adapt(support), queries).log_probabilities, expected)


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_a_head_is_fitted_by_stochastic_gradient_descent_from_the_start(head: str) -> None:
    learner, support = build(("finetune", {"head": head}, "classification"), "identity"), clusters(0.5)
    examples = Examples(support.x, support.one_hot(), learner._hidden(support.x))
    everything = torch.ones(len(support)).double()
    start = learner._start(examples, everything, 2.0)
    leaves = {name: nn.Parameter(copy.deepcopy(value.contiguous())) for name, value in start.items()}
    optimizer = torch.optim.SGD(leaves.values(), 0.3)
    for _ in range(5):
        optimizer.zero_grad()
        logits = F.linear(support.x, leaves["head.weight"], leaves["head.bias"])
        if head == "mlp":
            hidden = F.linear(support.x, leaves["hidden.weight"], leaves["hidden.bias"]).relu()
            logits = logits + hidden @ leaves["output.weight"].T
        F.cross_entropy(logits, support.y).backward()
        optimizer.step()
    fitted = learner._descend(examples, everything, Choice(2.0, 5, 0.3))
    assert_close(fitted, {name: value.detach() for name, value in leaves.items()})


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_in_the_span_of_few_examples_the_same_head_is_found(head: str) -> None:
    learner = build(("finetune", {"head": head}, "classification"), "identity", (40,))
    x, y = torch.randn(9, 40, generator=torch.Generator().manual_seed(0)).double(), torch.arange(3).repeat(3)
    whole = Examples(x, F.one_hot(y).double(), learner._hidden(x))
    few, everything, choice = whole.spanned(), torch.ones(9).double(), Choice(2.0, 5, 0.3)
    assert few.x.shape == (9, 9)
    found = few.back(learner._descend(few, everything, choice), whole)
    assert_close(found, learner._descend(whole, everything, choice))


def test_noise_is_answered_by_the_start_and_a_line_is_learned() -> None:
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(40, 3, generator=rng).double()
    line, noise = x[:, :1] * 3 + 1, torch.randn(40, 1, generator=rng).double()
    learner = build(("finetune", {"rates": (1.0,)}, "regression"), "identity", (3,))
    of_line, of_noise = (learner.adapt(Support(x, y, None)) for y in (line, noise))
    assert_close(of_line["head.weight"], torch.tensor([[3.0, 0.0, 0.0]]).double(), atol=1e-2, rtol=0)
    assert_close(of_line["head.bias"], torch.tensor([1.0]).double(), atol=1e-2, rtol=0)
    assert of_noise["head.weight"].norm() < 0.2
    assert of_noise["variance"] > 0.5


def rings() -> Support:
    """Inside or outside of a circle."""
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(2)).double()
    return Support(x, (x[:, :2].norm(dim=1) > 1.2).long(), 2)


def test_the_body_moves_with_the_head_as_by_stochastic_gradient_descent() -> None:
    values = {"body": "all", "steps": 1, "rates": (1e-6,), "body_steps": 6, "body_rates": (0.3,), "folds": 3}
    learner, support = build(("finetune", values, "classification")), rings()
    state = learner.adapt(support)
    network = copy.deepcopy(learner.backbone)
    with torch.no_grad():
        z = network(support.x)
        centre, size = z.mean(0), (z - z.mean(0)).square().sum(-1).mean().sqrt()
        held = folds((z - centre) / size, support, 3)
        choice = learner._choose(Examples((z - centre) / size, support.one_hot()), held)
        start = learner._fit(Examples((z - centre) / size, support.one_hot()), held, choice).state
    weight, bias = (nn.Parameter(start[f"head.{name}"].clone()) for name in ("weight", "bias"))
    optimizer = torch.optim.SGD([*network.parameters(), weight, bias], 0.3)
    for _ in range(6):
        optimizer.zero_grad()
        F.cross_entropy(F.linear((network(support.x) - centre) / size, weight, bias), support.y).backward()
        optimizer.step()
    moved = {name: value for name, value in state.items() if name.startswith("backbone.")}
    assert_close(moved, {f"backbone.{name}": value.detach() for name, value in network.named_parameters()})


def test_a_body_that_does_not_pay_to_move_is_not_kept() -> None:
    support = draw("classification", counts=(20, 20)).support  # noise
    learner = build(("finetune", {"body": "all", "body_rates": (0.5,)}, "classification"))
    assert set(learner.adapt(support)) == {"head.weight", "head.bias"}


def test_the_last_block_alone_moves_and_what_comes_before_it_is_run_once() -> None:
    learner, support = (
        build(("finetune", {"body": "last"}, "classification"), "conv4"),
        draw("classification", (1, 16, 16)).support,
    )
    h = learner.encode(support.x)
    assert h.shape == (9, 16, 2, 2)
    assert_close(learner._embed({}, h), learner.backbone(support.x))
    named = {name for name, _ in learner.backbone.named_parameters() if name.startswith("blocks.3.")}
    assert set(learner.backbone.last_weights()) == named


def test_a_held_out_example_leaves_another_of_its_class() -> None:
    support = draw("classification", counts=(1, 2, 7)).support
    held = folds(support.x, support, 5)
    assert held.sum(0).tolist() == [0] + [1] * 9
    assert all((~fold & (support.y == c)).any() for fold in held for c in range(3))


def test_the_unit_of_embeddings_and_targets_does_not_matter() -> None:
    learner, episode = build(("finetune", {"head": "mlp"}, "regression"), "identity"), draw("regression")
    support = episode.support
    first = learner.predict(learner.adapt(support), episode.x)
    moved = learner.adapt(Support(100 * support.x + 3, 10 * support.y - 5, None))
    other = learner.predict(moved, 100 * episode.x + 3)
    assert isinstance(other, Gaussian)
    assert_close(answers(other), torch.stack([10 * first.mean - 5, 100 * first.variance]))

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from meta_core.learner import Learner
from meta_core.learners import simpleshot
from meta_core.types import Support
from tests.learners.cases import answers, build

X = torch.tensor([[3.0, 0.0], [1.0, 4.0], [-1.0, 2.0]]).double()


def answered(centre: Tensor | None, query: Tensor) -> Tensor:
    learner = build(("simpleshot", {"scale": 1.5}, "classification"), "identity", (2,))
    if centre is not None:
        learner.centre.copy_(centre)
    return answers(learner.predict(learner.adapt(Support(X, torch.tensor([0, 1, 1]), 2)), query)).detach()


def test_three_points_by_hand_around_the_mean_of_the_training_set() -> None:
    centre = torch.tensor([1.0, 0.0]).double()
    half = 0.5**0.5  # the directions are (1, 0), (0, 1) and (−√½, √½); the class means (1, 0) and (−√½, 1 + √½) / 2
    squared = torch.tensor([0.4**2 + 0.8**2, (0.6 + half / 2) ** 2 + (0.8 - (1 + half) / 2) ** 2]).double()
    query = centre + 7 * torch.tensor([[0.6, 0.8]]).double()
    assert_close(answered(centre, query), (-1.5 * squared).log_softmax(-1)[None], rtol=1e-6, atol=1e-6)


def test_without_a_training_set_the_centre_is_the_mean_of_the_class_means() -> None:
    centre = torch.tensor([1.5, 1.5]).double()  # of (3, 0) and (0, 3)
    query = torch.tensor([[0.3, -2.0], [5.0, 5.0]]).double()
    assert_close(answered(None, query), answered(centre, query))


@pytest.mark.parametrize("few", [200, 0])  # all products at once, or class by class
def test_leaving_one_out_is_adapting_without_it_where_the_centre_moves_too(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simpleshot, "FEW", few)
    rng = torch.Generator().manual_seed(0)
    y = torch.tensor([0, 1, 1, 2, 0, 2, 2, 1, 0, 3])
    support, left_out = Support(5 + torch.randn(10, 6, generator=rng).double(), y, 4), torch.arange(9)
    learner = build(("simpleshot", {}, "classification"), "identity", (6,))
    adapted = Learner.leave_one_out(learner, support, left_out)
    assert_close(answers(learner.leave_one_out(support, left_out)), answers(adapted), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("few", [200, 0])
def test_leaving_out_one_far_from_all_others_costs_no_precision(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simpleshot, "FEW", few)
    x = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    x[0] *= 1000
    support, left_out = Support(x.double(), torch.arange(12) % 3, 3), torch.arange(12)
    learner = build(("simpleshot", {}, "classification"), "identity", (6,))
    exact = answers(Learner.leave_one_out(learner, support, left_out))
    found = answers(learner.float().leave_one_out(Support(x, support.y, 3), left_out))
    assert found.dtype == torch.float32
    assert_close(found.double(), exact, rtol=0, atol=1e-5)

"""Normalisation of pooled maps against the same blocks as they are written in papers."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from meta_core import pooled_norm
from meta_core.body_part import SupportNorm
from meta_core.convolution import channels_last
from meta_core.pooled_norm import pooled_block

NORMS: dict[str, Callable[[], nn.Module]] = {
    "group": lambda: nn.GroupNorm(4, 8),
    "batch": lambda: nn.BatchNorm2d(8),
    "support": lambda: SupportNorm(8),
}


@pytest.fixture(params=list(NORMS))
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> nn.Sequential:
    monkeypatch.setattr(pooled_norm, "LEAST_NUMBERS", 0)
    torch.manual_seed(0)
    norm = NORMS[request.param]()
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.normal_(norm.bias)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), norm).double()


@pytest.fixture
def x() -> Tensor:
    return channels_last(torch.randn(5, 3, 9, 6, dtype=torch.float64)).requires_grad_()


def plain(block: nn.Module, x: Tensor, pool: tuple[int, int] = (2, 2)) -> Tensor:
    return F.max_pool2d(F.relu(block(x)), pool)


def test_it_is_the_block_of_the_papers(block: nn.Sequential, x: Tensor, calls: list[None]) -> None:
    for pool in ((2, 2), (2, 1)):
        torch.testing.assert_close(pooled_block(block, x, pool), plain(block, x, pool))
    assert len(calls) == 2


def test_gradients_of_first_and_second_order_are_the_same(block: nn.Sequential, x: Tensor, calls: list[None]) -> None:
    leaves = [x, *block.parameters()]
    found, expected = (both_orders(form(block, x), leaves) for form in (pooled_block, plain))
    assert len(calls) == 1
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=1e-8)


def both_orders(z: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    first = torch.autograd.grad(z.square().sum(), leaves, create_graph=True, materialize_grads=True)
    total = sum((slope.square().sum() for slope in first), torch.zeros(()))
    return [*first, *torch.autograd.grad(total, leaves, materialize_grads=True)]


def test_running_statistics_move_as_ever(x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooled_norm, "LEAST_NUMBERS", 0)
    ours = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)).double()
    theirs = copy.deepcopy(ours)
    for _ in range(2):
        pooled_block(ours, x)
        plain(theirs, x)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


def test_a_negative_scale_is_done_the_long_way(block: nn.Sequential, x: Tensor, calls: list[None]) -> None:
    nn.init.constant_(block[1].weight, -1)  # type: ignore[arg-type]
    torch.testing.assert_close(pooled_block(block, x), plain(block, x))
    assert not calls


def test_in_half_precision_the_layers_keep_their_statistics_themselves(
    x: Tensor, calls: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooled_norm, "LEAST_NUMBERS", 0)
    block = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8))
    with torch.autocast("cpu", torch.bfloat16):
        pooled_block(block, x.float())
    assert not calls
    assert block[1].num_batches_tracked == 1


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows by one for each block whose maps were pooled first."""
    seen: list[None] = []
    apply = pooled_norm._Pooled.apply

    def counted(*given: Any) -> Any:
        seen.append(None)
        return apply(*given)

    monkeypatch.setattr(pooled_norm._Pooled, "apply", counted)
    return seen

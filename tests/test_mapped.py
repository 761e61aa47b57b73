"""Tasks adapted in one pass and one after the other."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from meta_core.backbone import build_backbone
from meta_core.learner import Learner, build_learner, learners
from meta_core.mapped import ON_CPU, ON_GPU, Room, each, in_one_pass, mapped_over_tasks, room
from meta_core.types import State, Support
from tests.learners.cases import BODIES, Case, answers, build, cases, draw, encoded

CPU = torch.device("cpu")
WHOLE = [name for name in learners if learners[name].adapts_body]


def tasks(case: Case, body: str, count: int = 3) -> list[Support]:
    """Of the same shapes, with labels in orders of their own."""
    support = draw(case[2], BODIES[body][0]).support
    rng = torch.Generator().manual_seed(0)
    orders = [torch.randperm(len(support), generator=rng) for _ in range(count)]
    noise = [torch.randn(support.x.shape, generator=rng, dtype=support.x.dtype) for _ in range(count)]
    return [Support(support.x + e, support.y[order], support.ways) for e, order in zip(noise, orders, strict=True)]


def close(found: State, expected: State) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert_close(found[name], value, rtol=1e-5, atol=1e-8)


def check(learner: Learner, supports: list[Support]) -> None:
    """In one pass as alone: states, answers, and the answers to what is left out."""
    own = [encoded(learner, support) for support in supports]

    def adapt(task: Support, _: Tensor) -> State:
        return learner.adapt(task)

    def answer(task: Support, z: Tensor) -> State:
        return vars(learner.predict(learner.adapt(task), z))

    with torch.no_grad():
        queries = [task.x[:2] for task in own]
        for compute in (adapt, answer):
            for task, z, found in zip(own, queries, in_one_pass(compute, own, queries), strict=True):
                close(found, compute(task, z))
        if type(learner).leave_one_out is not Learner.leave_one_out:
            return  # by a formula of its own
        left_out = torch.arange(len(own[0]))[1:]
        alone = [learner.predict(learner.adapt(own[0].without(i)), own[0].x[i : i + 1]) for i in left_out.tolist()]
        assert_close(answers(learner.leave_one_out(own[0], left_out)), torch.cat([answers(a) for a in alone], -2))


@pytest.mark.parametrize("case", cases())
def test_each_learner_adapts_alike(case: Case) -> None:
    learner = build(case)
    with torch.no_grad():
        maps = learner.room(CPU) is not None
    if not maps:
        pytest.skip("it takes tasks one after the other")
    check(learner, tasks(case, "mlp"))


@pytest.mark.parametrize("norm", ["group", "fixed", "support"])
@pytest.mark.parametrize("name", WHOLE)
def test_convolutions_that_move_do_too(name: str, norm: str) -> None:
    torch.manual_seed(0)
    body = build_backbone("conv4", BODIES["conv4"][0], {"width": 16, "norm": norm})
    learner = build_learner(name, body, {"steps": 2}, "classification").double().eval()
    check(learner, tasks((name, {}, "classification"), "conv4", 2))


def test_only_tasks_alike_and_as_many_as_there_is_room_for_share_a_pass() -> None:
    sizes: list[int] = []

    def note(task: Support, x: Tensor) -> dict[str, Tensor]:
        sizes.append(len(task))
        return {"sum": task.x.sum() + x.sum()}

    def support(n: int) -> Support:
        return Support(torch.full((n, 2), float(n)), torch.arange(n) % 2, 2)

    supports = [support(n) for n in (3, 4, 3, 3, 3, 3, 9, 9)]
    found = each(note, supports, [task.x for task in supports], Room(fewest=2, numbers=24, examples=8))
    assert [int(one["sum"]) for one in found] == [4 * len(task) ** 2 for task in supports]
    assert sizes == [3, 3, 4, 9, 9]  # four threes, one alone, one four, and two that are too large


def test_what_finds_no_memory_together_goes_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    def greedy(task: Support, _: Tensor) -> State:
        if mapped_over_tasks():
            raise torch.OutOfMemoryError
        return {"sum": task.x.sum()}

    supports = [Support(torch.full((4, 2), float(i)), torch.arange(4) % 2, 2) for i in range(3)]
    found = each(greedy, supports, [task.x for task in supports], ON_GPU)
    assert [int(one["sum"]) for one in found] == [0, 8, 16]
    assert "no memory for 3 tasks" in caplog.text


def test_one_switch_chooses_by_device_and_body() -> None:
    assert room(CPU, convolutions=True) is None
    assert room(CPU, convolutions=False) is ON_CPU
    assert room(torch.device("cuda"), convolutions=True) is ON_GPU
    bodies: list[tuple[str, dict[str, Any], bool]] = [("mlp", {}, True), ("identity", {}, True), ("conv4", {}, False)]
    for name, values, linear in bodies:
        assert build_backbone(name, (1, 16, 16), values).linear is linear

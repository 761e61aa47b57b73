"""Adapts computed in one pass, and each by itself."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from meta_core import mapped
from meta_core.ahead import Opened, adapt_together, kinship
from meta_core.base import Base, BaseSpec
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine, TaskRequest
from meta_core.errors import InvalidTask
from meta_core.ids import new_id
from meta_core.orders import Order, Result
from meta_core.store import Store
from meta_core.types import Task

CPU = torch.device("cpu")
CONV = ("conv4", {"width": 16, "norm": "group"}, (1, 16, 16))
MLP = ("mlp", {"width": 16}, (6,))
CONFIGS = {"cosine": {"rate": 0.001}}
"""Steps that magnify no rounding errors: on an untrained body, whose cosines are nearly all 1, larger ones do."""


@pytest.fixture
def engine(store: Store) -> Engine:
    return Engine(Catalogue(store), CPU)


def publish(engine: Engine, learner: str, body: Any, task: Task = "classification") -> Base:
    backbone, values, shape = body
    torch.manual_seed(0)
    spec = BaseSpec(
        modality="vector" if len(shape) == 1 else "image",
        modality_config={} if len(shape) == 1 else {"channels": 1, "size": 16},
        backbone=backbone,
        backbone_config=values,
        learners={task: (learner, CONFIGS.get(learner, {}))},
        shape=shape,
    )
    weights = spec.build(shape, task).state_dict()
    base = Base(name="mine", version=1, summary="", spec=spec, weights=weights, provenance={}, scores={})
    return engine.catalogue.publish(base, new_id("job"))


def opened(engine: Engine, seed: int, shots: int, task: Task = "classification", **more: Any) -> Opened:
    """An order of three classes, or of as many points."""
    rng, n = torch.Generator().manual_seed(seed), 3 * shots
    shape = engine.catalogue.get("mine").spec.shape
    x = torch.rand(n, *(shape[1:] if len(shape) == 3 else shape), generator=rng).numpy()
    labels: list[Any] = ["a", "b", "c"] * shots if task == "classification" else x.sum(-1).tolist()
    record, support = engine.accept(TaskRequest(base="mine", inputs=list(x), labels=labels, task=task, **more))
    order = Order(id=new_id("mdl"), tenant="default", kind="adapt", spec={"record": record}, created_at="")
    return engine.open(order, support)


def same(found: Result, expected: Result) -> None:
    for mine, theirs in zip((found.tensors, found.details), (expected.tensors, expected.details), strict=True):
        assert set(mine) == set(theirs)
    for name, value in expected.tensors.items():
        assert_close(found.tensors[name], value, rtol=1e-5, atol=1e-5)
    assert found.details["params"] == expected.details["params"]
    assert found.details["calibration"] == pytest.approx(expected.details["calibration"], rel=1e-4)
    alone, mine = (dict(result.record["scores"]) for result in (expected, found))
    considered = [[row["learner"] for row in scores.pop("candidates", ())] for scores in (alone, mine)]
    assert considered[0] == considered[1]
    assert alone.pop("loo_intervals", {}).keys() == mine.pop("loo_intervals", {}).keys()
    assert mine == pytest.approx(alone, rel=1e-3)


LEARNERS = ["maml", "metasgd", "protomaml", "boil", "reptile", "anil", "cosine", "cnp", "hyper", "protonet"]


@pytest.mark.parametrize("asked", ["auto", None])
@pytest.mark.parametrize("learner", LEARNERS)
def test_orders_on_linear_layers_become_what_each_alone_becomes(
    engine: Engine, learner: str, asked: Any, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(engine, learner, MLP)
    orders = [opened(engine, seed, 3, learner=asked or learner) for seed in range(3)]
    orders += [opened(engine, 9, 1, learner=asked or learner), opened(engine, 8, 1, learner=asked or learner)]
    monkeypatch.delitem(mapped.ROOMS, ("cpu", False))
    expected = [engine.adapt(one) for one in orders]
    assert not passes
    monkeypatch.setitem(mapped.ROOMS, ("cpu", False), mapped.ON_GPU)
    done = adapt_together(orders, CPU)
    left_out = min(9, done[0].learner.most_left_out)  # of orders of one example a class, none
    assert sorted(passes) == ([] if learner == "protonet" else [2, 3, 3 * left_out])
    assert (done[0].told is not None) == (learner != "protonet")
    for ahead, alone in zip(done, expected, strict=True):
        same(engine.adapt(ahead), alone)


@pytest.mark.parametrize("learner", ["maml", "protonet", "relation"])
def test_as_on_a_gpu_convolutions_are_computed_and_encoded_together(
    engine: Engine, learner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(engine, learner, CONV)
    orders = [opened(engine, seed, 2) for seed in range(3)]
    assert learner == "relation" or adapt_together(orders, CPU) == orders  # whose head has no convolutions
    expected = [engine.adapt(one) for one in orders]
    monkeypatch.setitem(mapped.ROOMS, ("cpu", True), mapped.ON_GPU)
    monkeypatch.setitem(mapped.ROOMS, ("cpu", False), mapped.ON_GPU)
    done = adapt_together(orders, CPU)
    assert all(one.encoded is not None for one in done)
    assert (done[0].told is not None) == (learner != "protonet")
    for ahead, alone in zip(done, expected, strict=True):
        same(engine.adapt(ahead), alone)


def test_what_is_wrong_with_one_is_wrong_with_no_other(engine: Engine) -> None:
    publish(engine, "maml", MLP, "regression")
    orders = [opened(engine, seed, 3, "regression", learner="maml") for seed in range(3)]
    orders[1] = replace(orders[1], tensors=orders[1].tensors | {"x": torch.rand(9, 6) * 1e18})
    done = adapt_together(orders, CPU)
    assert all(one.told is not None for one in done)
    for i in (0, 2):
        same(engine.adapt(done[i]), engine.adapt(orders[i]))
    with pytest.raises(InvalidTask, match="nothing finite"):
        engine.adapt(done[1])


def test_on_a_cpu_only_orders_without_convolutions_of_their_own_share_a_pass(engine: Engine) -> None:
    def kin(base: Base, device: str, **shots: int) -> object | None:
        asked = {"learner": "auto", "params": {}, "task": "classification", "shots": shots}
        return kinship(base, asked, torch.device(device))

    convolutions, linear, closed = (publish(engine, *made) for made in (("maml", CONV), ("maml", MLP), ("ridge", MLP)))
    assert kin(convolutions, "cpu", a=2, b=1) is None
    assert kin(convolutions, "cuda", a=2, b=1) == kin(convolutions, "cuda", a=5, b=5) is not None  # encoded together
    assert kin(linear, "cpu", a=2, b=1) == kin(linear, "cpu", a=1, b=2) is not None
    assert kin(linear, "cpu", a=2, b=1) != kin(linear, "cpu", a=2, b=2)
    assert kin(closed, "cpu", a=2, b=1) is None

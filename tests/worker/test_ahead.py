"""Several orders of one turn: shared arithmetic, and outcomes of their own."""

import logging
from typing import Any

import pytest
import torch

from meta_core import mapped
from meta_core.adapted import unpack_adapted
from meta_core.artifact import pack, unpack
from meta_core.base import Base, BaseSpec
from meta_core.engine import Engine, TaskRequest
from meta_core.ids import result_key, support_key
from meta_core.orders import Order
from tests.worker.site import TENANT, Site
from worker.jobs import jobs_of
from worker.life import ATTEMPTS_KEY
from worker.process import OrderWorker
from worker.workplace import Workplace

CPU = torch.device("cpu")


def learns_by_descent(place: Workplace) -> Engine:
    spec = BaseSpec(
        modality="vector",
        backbone="mlp",
        backbone_config={"width": 8},
        learners={"regression": ("maml", {})},
        shape=(2,),
    )
    weights = spec.build((2,), "regression").state_dict()
    base = Base(name="mine", version=1, summary="", spec=spec, weights=weights, provenance={}, scores={})
    place.catalogue.publish(base, "job")
    place.catalogue.get("mine@1", TENANT)  # in memory, as after an order that came alone
    return Engine(place.catalogue, CPU)


def submit(site: Site, engine: Engine, seed: int, **record: Any) -> Order:
    x = torch.rand(6, 2, generator=torch.Generator().manual_seed(seed))
    asked, support = engine.accept(TaskRequest(base="mine", inputs=x.tolist(), labels=x.sum(-1).tolist()))
    order = site.accept({"record": asked | record}, "adapt", support)
    site.enqueue("adapt", **order.queue_call())
    return order


def state_of(site: Site, order: Order) -> dict[str, torch.Tensor]:
    return dict(unpack_adapted(site.store.get(result_key(TENANT, order.id)), order.id).state)


def test_orders_of_a_turn_are_adapted_in_one_pass_and_answered_one_by_one(
    site: Site,
    place: Workplace,
    passes: list[int],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(mapped.ROOMS, ("cpu", False), mapped.ON_GPU)
    caplog.set_level(logging.INFO, "worker")
    engine = learns_by_descent(place)
    orders = [submit(site, engine, seed) for seed in range(12)]  # of which a turn takes half
    supports = {order.id: site.store.get(support_key(TENANT, order.id)) for order in orders}
    cancelled, broken, begun = orders[:3]
    site.cancel(cancelled)
    site.store.delete(support_key(TENANT, broken.id))
    site.redis.set(ATTEMPTS_KEY + begun.id, 1)
    OrderWorker("adapt", place, jobs_of("adapt", place)).work_until_asked_to_end(6)
    assert "2 orders computed in one pass" not in caplog.text
    assert "3 orders computed in one pass" in caplog.text
    assert [(site.outcome(order) or ("open",))[0] for order in orders] == [
        "cancelled",
        "failed",
        *["ready"] * 4,
        *["open"] * 6,
    ]
    assert passes == [18, 3, 6]  # three without each of six examples, and with all; the one that was begun by itself
    monkeypatch.delitem(mapped.ROOMS, ("cpu", False))
    passes.clear()
    for order in orders[2:6]:
        alone = engine.adapt_order(order, supports[order.id])
        for name, value in state_of(site, order).items():
            torch.testing.assert_close(value, alone.tensors[name], rtol=1e-5, atol=1e-6)
    assert not passes
    assert not site.redis.keys(f"{ATTEMPTS_KEY}*")


def test_what_fails_together_is_done_one_by_one(site: Site, place: Workplace, caplog: pytest.LogCaptureFixture) -> None:
    engine = learns_by_descent(place)
    orders = [submit(site, engine, seed) for seed in range(4)]
    tensors, header = unpack(site.store.get(support_key(TENANT, orders[0].id)))
    site.store.replace(support_key(TENANT, orders[0].id), pack({"x": tensors["x"]}, header))
    OrderWorker("adapt", place, jobs_of("adapt", place)).work_until_asked_to_end(4)
    assert "2 orders go one by one" in caplog.text
    assert [(site.outcome(order) or ("open",))[0] for order in orders] == ["failed", "ready", "ready", "ready"]
    assert not site.redis.keys(f"{ATTEMPTS_KEY}*")

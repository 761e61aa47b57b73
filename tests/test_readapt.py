"""Adapted models are moved to other versions of their base model, each once."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from meta_core.base import Base, BaseSpec
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine, TaskRequest
from meta_core.errors import Cancelled, InvalidTask
from meta_core.ids import new_id, support_key
from meta_core.orders import Order, accept, delete_result, finish, load_outcome, now, results_of
from meta_core.readapt import plan, readapt_all
from meta_core.store import Store

TENANT = "default"
SPEC = BaseSpec(modality="vector", backbone="mlp", learners={"classification": ("protonet", {})}, shape=(3,))


def published(catalogue: Catalogue, seed: int, spec: BaseSpec = SPEC) -> Base:
    torch.manual_seed(seed)
    weights = spec.build((3,), "classification").state_dict()
    one = Base(name="mine", version=0, summary="", spec=spec, weights=weights, provenance={}, scores={})
    return catalogue.publish(one, f"job {seed}")


@pytest.fixture
def engine(store: Store) -> Engine:
    catalogue = Catalogue(store)
    published(catalogue, 1)
    return Engine(catalogue, torch.device("cpu"))


def adapted(engine: Engine, store: Store, seed: int = 0, **changed: Any) -> str:
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(seed))
    request = TaskRequest(base="mine@1", inputs=x.tolist(), labels=["a", "b"] * 4, tenant=TENANT, **changed)
    record, support = engine.accept(request)
    order = Order(id=new_id("mdl"), tenant=TENANT, kind="adapt", spec={"record": record}, created_at=now())
    accept(store, order, support)
    finish(store, order, engine.adapt_order(order, support))
    return order.id


def job(to: str = "mine@2") -> Order:
    return Order(id=new_id("job"), tenant=TENANT, kind="readapt", spec={"to": to}, created_at=now())


def record_of(store: Store, id: str) -> dict[str, Any]:
    outcome = load_outcome(store, TENANT, id)
    assert outcome is not None
    return outcome[1]


def silent(done: int, total: int) -> None:
    pass


def test_all_models_are_moved_and_the_change_is_told(engine: Engine, store: Store) -> None:
    ids = [adapted(engine, store, seed) for seed in range(3)]
    ridge = adapted(engine, store, learner="ridge", params={"penalty": 0.5})
    published(engine.catalogue, 2)
    told = readapt_all(engine, store, job(), silent)
    assert (told["base"], told["moved"], told["refused"]) == ("mine@2", 4, 0)
    assert [row["from"] for row in told["models"]] == sorted([*ids, ridge])
    assert told["change"] == pytest.approx(told["after"] - told["before"], abs=2e-4)
    for row in told["models"]:
        old, new = record_of(store, row["from"]), record_of(store, row["to"])
        assert (old["base"], new["base"], new["readapted_from"]) == ("mine@1", "mine@2", row["from"])
        assert (row["before"], row["after"]) == (old["scores"]["loo_accuracy"], new["scores"]["loo_accuracy"])
        assert (new["learner"], new["params"], new["classes"]) == (old["learner"], old["params"], old["classes"])
        assert store.exists(support_key(TENANT, row["to"]))


def test_a_moved_model_is_the_one_that_adapting_would_have_made(engine: Engine, store: Store) -> None:
    adapted(engine, store)
    published(engine.catalogue, 2)
    (row,) = readapt_all(engine, store, job(), silent)["models"]
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    request = TaskRequest(base="mine@2", inputs=x.tolist(), labels=["a", "b"] * 4, tenant=TENANT)
    assert engine.accept(request)[1] == store.get(support_key(TENANT, row["to"]))


def test_a_job_that_died_goes_on_and_makes_no_model_twice(engine: Engine, store: Store) -> None:
    ids = [adapted(engine, store, seed) for seed in range(4)]
    published(engine.catalogue, 2)
    order = job()

    def die(done: int, total: int) -> None:
        if done == 2:
            raise Cancelled("killed")

    with pytest.raises(Cancelled):
        readapt_all(engine, store, order, die)
    assert len(list(results_of(store, TENANT, "mdl"))) == 6
    told = readapt_all(engine, store, order, silent)
    assert [row["from"] for row in told["models"]] == sorted(ids)
    assert len(list(results_of(store, TENANT, "mdl"))) == 8
    assert readapt_all(engine, store, order, silent) == told
    assert readapt_all(engine, store, job(), silent)["moved"] == 0  # another job finds all of them moved


def test_a_model_is_moved_on_from_where_it_was_moved_to(engine: Engine, store: Store) -> None:
    adapted(engine, store)
    published(engine.catalogue, 2)
    (first,) = readapt_all(engine, store, job(), silent)["models"]
    published(engine.catalogue, 3)
    (second,) = readapt_all(engine, store, job("mine@3"), silent)["models"]
    assert second["from"] == first["to"]


def test_what_cannot_be_moved_is_told_and_why(engine: Engine, store: Store) -> None:
    kept, bare = adapted(engine, store), adapted(engine, store, 1)
    store.delete(support_key(TENANT, bare))
    published(engine.catalogue, 2)
    told = readapt_all(engine, store, job(), silent)
    assert [row["from"] for row in told["refusals"]] == [bare]
    assert [row["from"] for row in told["models"]] == [kept]
    published(engine.catalogue, 3, replace(SPEC, modality_config={"standardise": True}))
    moved = told["models"][0]["to"]
    with pytest.raises(InvalidTask, match=r"preprocessing differs .*standardise"):
        plan(engine, store, replace(job(), kind="adapt"), record_of(store, moved), "mine@3")
    with pytest.raises(InvalidTask, match="on mine@2 already"):
        plan(engine, store, replace(job(), kind="adapt"), record_of(store, moved), "mine@2")


def test_a_deleted_model_stays_deleted(engine: Engine, store: Store) -> None:
    adapted(engine, store)
    published(engine.catalogue, 2)
    order = job()
    (row,) = readapt_all(engine, store, order, silent)["models"]
    delete_result(store, TENANT, row["to"], now())
    told = readapt_all(engine, store, order, silent)
    assert told["moved"] == 0
    assert "deleted" in told["refusals"][0]["reason"]

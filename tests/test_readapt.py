"""Adapted models are moved to other versions of their base model, each once."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from meta_core.artifact import unpack
from meta_core.base import Base, BaseSpec
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine, TaskRequest
from meta_core.errors import Cancelled, InvalidTask
from meta_core.ids import new_id, support_key
from meta_core.incremental import load_source, without_example
from meta_core.orders import Order, accept, delete_result, finish, load_outcome, now, results_of
from meta_core.readapt import plan, readapt_all
from meta_core.store import Store
from tests.drawings import FIGURES, draw, png

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
    usual = {"base": "mine@1", "inputs": x.tolist(), "labels": ["a", "b"] * 4, "tenant": TENANT}
    request = TaskRequest(**usual | changed)
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
    published(engine.catalogue, 3, replace(SPEC, modality="text"))
    moved = told["models"][0]["to"]
    with pytest.raises(InvalidTask, match=r"modality differs .* example 0 cannot be read so: "):
        plan(engine, store, replace(job(), kind="adapt"), record_of(store, moved), "mine@3")
    with pytest.raises(InvalidTask, match="on mine@2 already"):
        plan(engine, store, replace(job(), kind="adapt"), record_of(store, moved), "mine@2")


def image_spec(size: int) -> BaseSpec:
    config = {"size": size, "channels": 1}
    learner: dict[Any, Any] = {"classification": ("protonet", {})}
    return BaseSpec(
        modality="image",
        modality_config=config,
        backbone="conv4",
        backbone_config={"width": 8},
        learners=learner,
        shape=(1, size, size),
    )


def publish_drawn(catalogue: Catalogue) -> None:
    """Two versions, of which the second takes larger images."""
    for size in (16, 24):
        spec = image_spec(size)
        weights = spec.build(spec.shape, "classification").state_dict()
        one = Base(name="drawn", version=0, summary="", spec=spec, weights=weights, provenance={}, scores={})
        catalogue.publish(one, f"drawn {size}")


@pytest.mark.parametrize("kind", ["files", "lists", "arrays"])
def test_inputs_are_read_again_where_a_version_reads_them_otherwise(engine: Engine, store: Store, kind: str) -> None:
    publish_drawn(engine.catalogue)
    figures = [draw(FIGURES[i % 2], i) for i in range(6)]
    drawn = np.stack([np.asarray(figure) for figure in figures])
    inputs: Any = {"files": [png(figure) for figure in figures], "lists": drawn.tolist(), "arrays": drawn}[kind]
    made = {"labels": ["a", "b"] * 3, "inputs": inputs, "base": "drawn@1"}
    old = adapted(engine, store, **made)
    source = load_source(store, TENANT, old)
    record, support = without_example(engine, source, 5)
    (row,) = readapt_all(engine, store, job("drawn@2"), silent)["models"]
    asked = TaskRequest(**made | {"base": "drawn@2"}, tenant=TENANT)
    assert engine.accept(asked)[1] == store.get(support_key(TENANT, row["to"]))
    fewer = TaskRequest(**made | {"labels": made["labels"][:5], "inputs": inputs[:5]}, tenant=TENANT)
    for name in ("raw", "raw_lengths", "raw_kinds"):
        assert torch.equal(unpack(support)[0][name], unpack(engine.accept(fewer)[1])[0][name])
    assert record["change"] == {"removed": 5}


def test_numbers_and_texts_need_not_be_kept_twice(engine: Engine, store: Store) -> None:
    adapted(engine, store)
    published(engine.catalogue, 2, replace(SPEC, modality_config={"standardise": True}))
    (row,) = readapt_all(engine, store, job(), silent)["models"]
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    request = TaskRequest(base="mine@2", inputs=x.tolist(), labels=["a", "b"] * 4, tenant=TENANT)
    told = unpack(store.get(support_key(TENANT, row["to"])))[0]
    torch.testing.assert_close(told["x"], unpack(engine.accept(request)[1])[0]["x"])


def test_what_was_kept_before_inputs_were_says_so(engine: Engine, store: Store) -> None:
    publish_drawn(engine.catalogue)
    large = np.random.default_rng(0).random((6, 600, 600))  # more than is kept
    adapted(engine, store, base="drawn@1", inputs=large, labels=["a", "b"] * 3)
    (refusal,) = readapt_all(engine, store, job("drawn@2"), silent)["refusals"]
    assert "kept only as they were read" in refusal["reason"]


def test_a_deleted_model_stays_deleted(engine: Engine, store: Store) -> None:
    adapted(engine, store)
    published(engine.catalogue, 2)
    order = job()
    (row,) = readapt_all(engine, store, order, silent)["models"]
    delete_result(store, TENANT, row["to"], now())
    told = readapt_all(engine, store, order, silent)
    assert told["moved"] == 0
    assert "deleted" in told["refusals"][0]["reason"]

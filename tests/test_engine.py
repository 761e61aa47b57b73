"""The engine: many tasks at once answer as each would alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from meta_core.adapted import AdaptedModel, unpack_adapted
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine, TaskRequest
from meta_core.errors import Gone, InvalidTask, LimitExceeded, Unusable
from meta_core.ids import new_id, result_key
from meta_core.limits import Limits
from meta_core.orders import Order, Result, delete_result, finish
from meta_core.store import Store
from tests.drawings import FIGURES, draw, png, support_of


@pytest.fixture
def engine(store: Store) -> Engine:
    return Engine(Catalogue(store), torch.device("cpu"))


def adapted(engine: Engine, store: Store, request: TaskRequest) -> AdaptedModel:
    record, support = engine.accept(request)
    tenant = request.tenant or "default"
    order = Order(id=new_id("mdl"), tenant=tenant, kind="adapt", spec={"record": record}, created_at="")
    finish(store, order, engine.adapt_order(order, support))
    return unpack_adapted(store.get(result_key(tenant, order.id)), order.id)


def drawings(shots: int, **more: Any) -> TaskRequest:
    support = support_of(shots)
    return TaskRequest(base="omniglot", inputs=support["inputs"], labels=support["labels"], **more)


def rows(count: int, **more: Any) -> TaskRequest:
    x = np.linspace(0, 1, count)
    return TaskRequest(base="table", inputs=[{"x": value} for value in x.tolist()], labels=(x**2).tolist(), **more)


def test_requests_of_many_models_are_answered_as_each_alone(engine: Engine, store: Store) -> None:
    models = [
        adapted(engine, store, drawings(2)),
        adapted(engine, store, drawings(3, learner="ridge")),
        adapted(engine, store, rows(12)),
        adapted(engine, store, drawings(1)),
        adapted(engine, store, drawings(2, learner="average", params={"members": ["protonet", "simpleshot"]})),
        adapted(engine, store, drawings(3, learner="stack")),
        adapted(engine, store, drawings(5)),
    ]
    queries: list[list[Any]] = [
        [png(draw(FIGURES[i % 3], 60 + i)) for i in range(size)] if model.task == "classification" else [{"x": 0.3}]
        for size, model in enumerate(models, start=1)
    ]
    questions = [(model, engine.read(model, inputs)) for model, inputs in zip(models, queries, strict=True)]
    for question, together in zip(questions, engine.predict(questions), strict=True):
        (alone,) = engine.predict([question])
        assert len(together) == len(alone) == len(question[1])
        for one, other in zip(together, alone, strict=True):
            if "mean" in one:
                assert one["mean"] == pytest.approx(other["mean"], abs=1e-5)
            else:
                assert one["label"] == other["label"]
                assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_base_models_of_one_name_of_two_tenants_are_kept_apart(engine: Engine, store: Store) -> None:
    shipped, asked = engine.catalogue.get("omniglot"), [png(draw(FIGURES[0], 70))]
    models = []
    for tenant, factor in (("one", 1.0), ("other", -1.0)):
        weights = {key: factor * value if key.endswith("0.weight") else value for key, value in shipped.weights.items()}
        engine.catalogue.publish(replace(shipped, name="mine", weights=weights), "job", owner=tenant)
        models.append(adapted(engine, store, replace(drawings(2), base="mine", tenant=tenant)))
    questions = [(model, engine.read(model, asked)) for model in models]
    together = [answers[0]["probabilities"] for answers in engine.predict(questions)]
    alone = [engine.predict([question])[0][0]["probabilities"] for question in questions]
    assert together == [pytest.approx(probabilities, abs=1e-5) for probabilities in alone]


def test_regression_learns_a_line(engine: Engine, store: Store) -> None:
    request = TaskRequest(base="table", inputs=[{"x": i} for i in range(20)], labels=[2.0 * i + 1 for i in range(20)])
    model = adapted(engine, store, request)
    ((answer,),) = engine.predict([(model, engine.read(model, [{"x": 10.5}]))])
    assert answer["mean"] == pytest.approx(22, abs=0.1)
    assert answer["interval"][0] < 22 < answer["interval"][1]


def test_several_targets_are_answered_as_lists(engine: Engine, store: Store) -> None:
    labels = [[float(i), -2.0 * i] for i in range(10)]
    model = adapted(engine, store, TaskRequest(base="table", inputs=[{"x": i} for i in range(10)], labels=labels))
    ((answer,),) = engine.predict([(model, engine.read(model, [{"x": 4}]))])
    assert answer["mean"] == pytest.approx([4, -8], abs=0.1)
    assert len(answer["std"]) == len(answer["interval"]) == 2


def test_one_shot_has_no_leave_one_out_scores(engine: Engine) -> None:
    record, support = engine.accept(drawings(1))
    order = Order(id=new_id("mdl"), tenant="default", kind="adapt", spec={"record": record}, created_at="")
    assert set(engine.adapt_order(order, support).record["scores"]) == {"candidates"}


def test_limits_are_named(store: Store) -> None:
    small = Engine(Catalogue(store), torch.device("cpu"), Limits(max_examples=5, max_ways=2, max_queries=1))
    with pytest.raises(LimitExceeded, match="max_examples=5"):
        small.accept(rows(6))
    with pytest.raises(LimitExceeded, match="max_ways=2"):
        small.accept(drawings(1))
    model = adapted(small, store, rows(5))
    with pytest.raises(LimitExceeded, match="max_queries=1"):
        small.read(model, [{"x": 1}] * 2)
    with pytest.raises(InvalidTask, match="at least one"):
        small.read(model, [])


def test_what_is_not_ready_cannot_be_loaded(engine: Engine, store: Store) -> None:
    model = adapted(engine, store, rows(5))
    delete_result(store, "default", model.id, "now")
    with pytest.raises(Gone):
        unpack_adapted(store.get(result_key("default", model.id)), model.id)
    failed = Order(id=new_id("mdl"), tenant="default", kind="adapt", spec={"record": {}}, created_at="")
    finish(store, failed, Result(status="failed", record={"error": {"code": "x", "detail": "the reason"}}))
    with pytest.raises(Unusable, match="the reason"):
        unpack_adapted(store.get(result_key("default", failed.id)), failed.id)


def test_learners_on_one_base_model_share_its_body(engine: Engine, store: Store) -> None:
    models = [adapted(engine, store, rows(6, learner=name)) for name in ("ridge", "stack")]
    first, second = (engine.learner_of(model).backbone for model in models)
    assert first is second

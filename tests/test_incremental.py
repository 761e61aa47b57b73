"""A model changed example by example is the one that adapting to the same examples would have made."""

from typing import Any

import pytest
import torch

from meta_core.adapted import AdaptedModel, unpack_adapted
from meta_core.artifact import unpack
from meta_core.base import Base, BaseSpec
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine, TaskRequest
from meta_core.errors import InvalidExample, InvalidTask, NotFound, Unusable
from meta_core.ids import new_id, result_key, support_key
from meta_core.incremental import load_source, with_examples, without_example
from meta_core.kept import PREFIX
from meta_core.learner import learners
from meta_core.orders import Order, accept, finish, load_outcome, now, versions_of
from meta_core.store import Store
from meta_core.types import Categorical
from tests.drawings import FIGURES, base64_png, draw, support_of

TENANT = "default"
X = torch.randn(10, 3, generator=torch.Generator().manual_seed(0)).tolist()
NAMES = ["b", "a", "b", "a", "b", "a", "c", "a", "c", "b"]
NUMBERS = [[x[0] - x[1], x[2]] for x in X]


@pytest.fixture
def engine(store: Store) -> Engine:
    return Engine(Catalogue(store), torch.device("cpu"))


def publish(engine: Engine, learner: str, **changed: Any) -> tuple[str, list[Any]]:
    """A base model with this learner and fresh weights, and labels of a task it does."""
    task = "classification" if "classification" in learners[learner].tasks else "regression"
    parts: dict[str, Any] = {"modality": "vector", "backbone": "mlp", "shape": (3,), **changed}
    spec = BaseSpec(learners={task: (learner, {})}, **parts)  # type: ignore[dict-item]
    torch.manual_seed(0)
    weights = spec.build((3,), task).state_dict()  # type: ignore[arg-type]
    base = Base(name="mine", version=0, summary="", spec=spec, weights=weights, provenance={}, scores={})
    return engine.catalogue.publish(base, learner).reference, NAMES if task == "classification" else NUMBERS


def made(engine: Engine, store: Store, record: dict[str, Any], support: bytes) -> AdaptedModel:
    order = Order(id=new_id("mdl"), tenant=TENANT, kind="adapt", spec={"record": record}, created_at=now())
    accept(store, order, support)
    finish(store, order, engine.adapt_order(order, support))
    return unpack_adapted(store.get(result_key(TENANT, order.id)), order.id)


def adapted(engine: Engine, store: Store, base: str, inputs: Any, labels: Any, **more: Any) -> AdaptedModel:
    return made(
        engine, store, *engine.accept(TaskRequest(base=base, inputs=inputs, labels=labels, tenant=TENANT, **more))
    )


def extended(engine: Engine, store: Store, model: AdaptedModel, inputs: Any, labels: Any, **more: Any) -> AdaptedModel:
    return made(engine, store, *with_examples(engine, load_source(store, TENANT, model.id), inputs, labels, **more))


def reduced(engine: Engine, store: Store, model: AdaptedModel, index: int) -> AdaptedModel:
    return made(engine, store, *without_example(engine, load_source(store, TENANT, model.id), index))


def numbers(engine: Engine, model: AdaptedModel) -> torch.Tensor:
    queries = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    answer = engine.judge(model, queries)
    return answer.log_probabilities if isinstance(answer, Categorical) else torch.cat([answer.mean, answer.variance])


def record_of(store: Store, model: AdaptedModel) -> dict[str, Any]:
    outcome = load_outcome(store, TENANT, model.id)
    assert outcome is not None
    return outcome[1]


@pytest.mark.parametrize("learner", [name for name in learners if name not in ("forest", "finetune")])  # slow
def test_adding_and_removing_is_adapting_from_scratch(engine: Engine, store: Store, learner: str) -> None:
    base, labels = publish(engine, learner)
    model = adapted(engine, store, base, X[:6], labels[:6], learner=learner)
    model = extended(engine, store, model, X[6:9], labels[6:9])  # class c among them
    model = reduced(engine, store, model, 1)
    model = extended(engine, store, model, X[9:], labels[9:])
    scratch = adapted(engine, store, base, X[:1] + X[2:], labels[:1] + labels[2:], learner=learner)
    assert (model.classes, model.learner, model.params) == (scratch.classes, learner, scratch.params)
    torch.testing.assert_close(numbers(engine, model), numbers(engine, scratch), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.calibration, scratch.calibration, atol=1e-5, rtol=1e-4)
    told = record_of(store, model)
    assert (told["version"], told["change"]) == (4, {"added": 1})
    assert len(versions_of(store, TENANT, told["lineage"])) == 4


def test_what_was_encoded_is_not_encoded_again(engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    base, _ = publish(engine, "protonet")
    model = adapted(engine, store, base, X[:6], NAMES[:6], learner="protonet")
    encoded: list[int] = []
    learner = engine.learner_of(model)
    plain = learner.backbone.forward
    monkeypatch.setattr(learner.backbone, "forward", lambda x: encoded.append(len(x)) or plain(x))
    model = extended(engine, store, model, X[6:7], NAMES[6:7])
    reduced(engine, store, model, 0)
    assert encoded == [1]


def test_a_learner_that_was_chosen_is_chosen_anew(engine: Engine, store: Store) -> None:
    support = support_of(3)
    some = {"inputs": support["inputs"][::3], "labels": support["labels"][::3]}
    rest = [support["inputs"][i] for i in range(9) if i % 3], [support["labels"][i] for i in range(9) if i % 3]
    one = adapted(engine, store, "omniglot", **some)
    grown = extended(engine, store, one, *rest)
    scratch = adapted(engine, store, "omniglot", some["inputs"] + rest[0], some["labels"] + rest[1])
    told, expected = record_of(store, grown), record_of(store, scratch)
    assert told["learner"] == expected["learner"]
    assert told["scores"]["loo_nll"] == pytest.approx(expected["scores"]["loo_nll"], rel=1e-3)
    named = extended(engine, store, grown, [base64_png(draw(FIGURES[0], 50))], [FIGURES[0]], learner="protonet")
    assert "candidates" not in record_of(store, named)["scores"]
    assert named.learner == "protonet"


def test_rows_are_read_as_the_first_version_described_them(engine: Engine, store: Store) -> None:
    rows = [{"x": float(i), "word": "ab"[i % 2]} for i in range(6)]
    model = adapted(engine, store, "table", rows, list("uvuvuv"))
    more = extended(engine, store, model, [{"x": 100.0, "word": "new"}], ["w"])
    again = extended(engine, store, more, [{"x": 101.0, "word": "a"}], ["w"])
    assert again.description == model.description
    assert record_of(store, again)["described_by"] == model.id
    with pytest.raises(InvalidExample, match="lacks column 'word'"):
        extended(engine, store, model, [{"x": 1.0}], ["u"])


def test_what_cannot_be_is_refused_and_why(engine: Engine, store: Store) -> None:
    base, _ = publish(engine, "ridge")
    model = adapted(engine, store, base, X[:3], NAMES[:3])
    with pytest.raises(InvalidExample, match=r"label 1: class labels are all strings.*str and int"):
        extended(engine, store, model, X[:2], ["a", 1])
    with pytest.raises(InvalidTask, match="2 inputs but 1 labels"):
        extended(engine, store, model, X[:2], ["a"])
    with pytest.raises(InvalidTask, match="at least one"):
        extended(engine, store, model, [], [])
    with pytest.raises(NotFound, match="they are 0–2"):
        reduced(engine, store, model, 3)
    with pytest.raises(InvalidTask, match="at least two classes"):
        reduced(engine, store, model, 1)
    with pytest.raises(NotFound, match="no learner"):
        extended(engine, store, model, X[:1], ["a"], learner="nobody")
    store.delete(support_key(TENANT, model.id))
    with pytest.raises(Unusable, match="was not kept"):
        extended(engine, store, model, X[:1], ["a"])


def test_no_embeddings_are_kept_where_no_support_set_shall_be(engine: Engine, store: Store) -> None:
    base, _ = publish(engine, "protonet")
    record, support = engine.accept(TaskRequest(base=base, inputs=X, labels=NAMES, tenant=TENANT))
    for keep in (True, False):
        model = made(engine, store, record | {"keep_support": keep}, support)
        tensors, _ = unpack(store.get(result_key(TENANT, model.id)))
        assert any(name.startswith(PREFIX) for name in tensors) == keep
        assert not any(name.startswith(PREFIX) for name in model.state)
    with pytest.raises(Unusable, match="was not kept"):
        extended(engine, store, model, X[:1], ["a"])

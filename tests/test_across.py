"""`average` and `stack` over several base models are what their members are alone."""

import datetime
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from meta_core.adapted import AdaptedModel, unpack_adapted
from meta_core.base import Base, BaseSpec
from meta_core.catalogue import Catalogue
from meta_core.check import Finding, check
from meta_core.engine import Engine, TaskRequest
from meta_core.errors import InvalidParameter, InvalidTask, NotFound
from meta_core.ids import new_id, result_key
from meta_core.incremental import load_source, with_examples, without_example
from meta_core.kept import encode_support
from meta_core.learner import Learner, concatenate
from meta_core.members import Combination
from meta_core.orders import Order, accept, finish, load_outcome, now
from meta_core.readapt import plan
from meta_core.store import Store
from meta_core.types import Categorical, Support

TENANT = "default"
X = torch.randn(13, 3, generator=torch.Generator().manual_seed(0))
NAMES = ["b", "a", "b", "a", "b", "a", "c", "a", "c", "b"]
MEMBERS = [{"learner": "protonet"}, {"learner": "ridge", "params": {"penalty": 0.5}, "base": "second"}]
SPEC = BaseSpec(modality="vector", backbone="mlp", learners={"classification": ("protonet", {})}, shape=(3,))


def published(engine: Engine, name: str, seed: int, owner: str | None = None, **changed: Any) -> Base:
    spec = replace(SPEC, **changed)
    torch.manual_seed(seed)
    weights = spec.build(spec.shape or (3,), "classification").state_dict()
    base = Base(name=name, version=0, summary="", spec=spec, weights=weights, provenance={}, scores={})
    return engine.catalogue.publish(base, f"job {seed}", owner)


@pytest.fixture
def engine(store: Store) -> Engine:
    engine = Engine(Catalogue(store), torch.device("cpu"))
    published(engine, "first", 1)
    published(engine, "second", 2, backbone_config={"width": 24})
    return engine


def made(engine: Engine, store: Store, record: dict[str, Any], support: bytes, tenant: str = TENANT) -> AdaptedModel:
    order = Order(id=new_id("mdl"), tenant=tenant, kind="adapt", spec={"record": record}, created_at=now())
    accept(store, order, support)
    finish(store, order, engine.adapt_order(order, support))
    return unpack_adapted(store.get(result_key(tenant, order.id)), order.id)


def adapted(engine: Engine, store: Store, tenant: str = TENANT, **asked: Any) -> AdaptedModel:
    """Of the first ten inputs, unless others are asked for."""
    usual: dict[str, Any] = {"base": "first", "inputs": X[:10].tolist(), "labels": NAMES, "learner": "average"}
    if asked.get("learner", "average") in ("average", "stack"):
        usual["params"] = {"members": MEMBERS}
    return made(engine, store, *engine.accept(TaskRequest(tenant=tenant, **usual | asked)), tenant)


def answered(engine: Engine, model: AdaptedModel, x: Tensor = X[10:]) -> Tensor:
    """Probabilities [Q, C], not calibrated."""
    answer = engine.judge(replace(model, calibration=1.0), x)
    assert isinstance(answer, Categorical)
    return answer.log_probabilities.exp()


def test_the_average_over_two_base_models_is_that_of_two_models(engine: Engine, store: Store) -> None:
    both = adapted(engine, store)
    assert both.params["members"] == [
        {"learner": "protonet", "params": {}},
        {"learner": "ridge", "params": {"penalty": 0.5}, "base": "second@1"},
    ]
    one = adapted(engine, store, learner="protonet")
    other = adapted(engine, store, base="second", learner="ridge", params={"penalty": 0.5})
    assert_close(answered(engine, both), (answered(engine, one) + answered(engine, other)) / 2)
    elsewhere = Engine(Catalogue(store), torch.device("cpu"))  # from nothing but what is stored
    assert torch.equal(answered(elsewhere, both), answered(engine, both))


def test_a_member_on_the_base_model_itself_names_none(engine: Engine, store: Store) -> None:
    own = [{**member, "base": base} for member, base in zip(MEMBERS, ("first", "first@1"), strict=True)]
    found = adapted(engine, store, params={"members": own})
    plain = adapted(engine, store, params={"members": [MEMBERS[0], {"learner": "ridge", "params": {"penalty": 0.5}}]})
    assert found.params == plain.params
    assert torch.equal(answered(engine, found), answered(engine, plain))


def test_models_across_base_models_are_answered_among_others(engine: Engine, store: Store) -> None:
    asked = [adapted(engine, store, learner=name) for name in ("average", "stack", "protonet", "average")]
    queries = [(model, X[10 + i % 2 :]) for i, model in enumerate(asked)]
    together = engine.predict(queries)
    for query, answers in zip(queries, together, strict=True):
        (alone,) = engine.predict([query])
        for found, expected in zip(answers, alone, strict=True):
            assert found["label"] == expected["label"]
            assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)


def embedded(engine: Engine, model: AdaptedModel) -> tuple[Learner, Support]:
    learner = engine.learner_of(model)
    with torch.no_grad():
        return learner, Support(learner.encode(X[:10]), torch.tensor(["abc".index(name) for name in NAMES]), 3)


@pytest.mark.parametrize("name", ["average", "stack"])
def test_members_leave_out_as_they_do_alone(engine: Engine, store: Store, name: str) -> None:
    learner, support = embedded(engine, adapted(engine, store, learner=name))
    assert isinstance(learner, Combination)
    one = adapted(engine, store, learner="protonet")
    other = adapted(engine, store, base="second", learner="ridge", params={"penalty": 0.5})
    for found, model in zip(learner.left_out_by_each(support, torch.arange(10)), (one, other), strict=True):
        alone, seen = embedded(engine, model)
        assert_close(vars(found), vars(alone.leave_one_out(seen, torch.arange(10))))


@torch.no_grad()
def test_leaving_out_is_that_of_adapting_without(engine: Engine, store: Store) -> None:
    members = ["protonet", {"learner": "matching", "base": "second"}]
    learner, support = embedded(engine, adapted(engine, store, params={"members": members}))
    found = learner.leave_one_out(support, torch.arange(10))
    alone = [learner.predict(learner.adapt(support.without(i)), support.x[i : i + 1]) for i in range(10)]
    assert_close(vars(found), vars(concatenate(alone)))


@pytest.mark.parametrize("name", ["average", "stack"])
def test_examples_are_added_and_removed(engine: Engine, store: Store, name: str) -> None:
    first = adapted(engine, store, learner=name, inputs=X[:9].tolist(), labels=NAMES[:9])
    source = load_source(store, TENANT, first.id)
    assert source.tensors["embeddings"].shape[1] == engine.learner_of(first).backbone.dimension
    more = made(engine, store, *with_examples(engine, source, X[9:10].tolist(), NAMES[9:]))
    assert_close(answered(engine, more), answered(engine, adapted(engine, store, learner=name)))
    less = made(engine, store, *without_example(engine, load_source(store, TENANT, more.id), 9))
    assert_close(answered(engine, less), answered(engine, first))


def test_another_learner_is_not_given_the_embeddings_of_both(engine: Engine, store: Store) -> None:
    source = load_source(store, TENANT, adapted(engine, store, inputs=X[:9].tolist(), labels=NAMES[:9]).id)
    alone = made(engine, store, *with_examples(engine, source, X[9:10].tolist(), NAMES[9:], "ridge"))
    assert_close(answered(engine, alone), answered(engine, adapted(engine, store, learner="ridge")))


@pytest.mark.parametrize(
    ("base", "error", "reason"),
    [
        ("omniglot", InvalidParameter, "the modality differs"),
        ("scaled", InvalidParameter, "the preprocessing differs"),
        ("wide", InvalidTask, r"takes inputs of shape \[4\]"),
        ("nothing", NotFound, "nothing"),
        ("strangers", NotFound, "strangers"),
        ("second@2", NotFound, "second@1"),
    ],
)
def test_base_models_that_cannot_be_had_are_refused(engine: Engine, base: str, error: Any, reason: str) -> None:
    published(engine, "scaled", 3, modality_config={"standardise": True})
    published(engine, "wide", 4, shape=(4,))
    published(engine, "strangers", 5, "stranger")
    members = [{"learner": "protonet"}, {"learner": "ridge", "base": base}]
    request = TaskRequest(
        base="first", inputs=X.tolist(), labels=["a", *"bc" * 6], learner="stack", params={"members": members}
    )
    with pytest.raises(error, match=reason):
        engine.accept(replace(request, tenant=TENANT))


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ({"learner": "cnp"}, "must be meta-trained"),
        ({"learner": "stack"}, "has members itself"),
        ({"learner": "ridge", "params": {"nothing": 1}}, "no parameter 'nothing'"),
        ({"learner": "lora"}, "does not take embeddings"),
    ],
)
def test_members_that_cannot_be_are_refused(engine: Engine, store: Store, member: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidParameter, match=reason):
        adapted(engine, store, params={"members": ["protonet", {**member, "base": "second"}]})


def test_a_combination_across_base_models_is_not_built_where_none_can_be_looked_up(engine: Engine) -> None:
    base = engine.catalogue.get("first")
    with pytest.raises(InvalidParameter, match="not trained or evaluated"):
        base.learner_for("average", {"members": MEMBERS}, (3,), "classification")


def test_tenants_mean_their_own_by_the_same_name(engine: Engine, store: Store) -> None:
    for seed, tenant in ((6, "one"), (7, "two")):
        published(engine, "own", seed, tenant)
    members = [{"learner": "protonet"}, {"learner": "protonet", "base": "own"}]
    one, two = (adapted(engine, store, tenant, params={"members": members}) for tenant in ("one", "two"))
    assert one.params == two.params
    assert not torch.allclose(answered(engine, one), answered(engine, two))


def test_moving_a_model_moves_the_members_on_its_base_model_alone(engine: Engine, store: Store) -> None:
    model = adapted(engine, store)
    published(engine, "first", 8)
    published(engine, "second", 9)
    outcome = load_outcome(store, TENANT, model.id)
    assert outcome is not None
    wanted = Order(id=new_id("mdl"), tenant=TENANT, kind="adapt", spec={}, created_at=now())
    order, support = plan(engine, store, wanted, outcome[1], "first@2")
    moved = made(engine, store, order.spec["record"], support)
    assert (moved.base, moved.params) == ("first@2", model.params)
    members = [{"learner": "protonet"}, {**MEMBERS[1], "base": "second@1"}]
    anew = adapted(engine, store, base="first@2", params={"members": members})
    assert_close(answered(engine, moved), answered(engine, anew))
    published(engine, "first", 10, modality_config={"standardise": True})
    with pytest.raises(InvalidParameter, match="the preprocessing differs"):
        plan(engine, store, wanted, outcome[1], "first@3")


def test_a_lost_base_model_of_a_member_is_found(engine: Engine, store: Store) -> None:
    model = adapted(engine, store)
    engine.catalogue.withdraw(engine.catalogue.get("second"))
    found = [one for one in check(store, recent=datetime.timedelta(0)) if isinstance(one, Finding)]
    assert [(one.key, one.trouble) for one in found] == [(result_key(TENANT, model.id), "incomplete")]
    assert "no base model 'second'" in found[0].detail


def test_members_share_the_body_of_their_base_model(engine: Engine, store: Store) -> None:
    members = [*MEMBERS, {"learner": "gp", "base": "second"}]
    learner = engine.learner_of(adapted(engine, store, params={"members": members}))
    alone = [
        engine.learner_of(adapted(engine, store, base=base, learner="protonet")).backbone
        for base in ("first", "second")
    ]
    assert learner.backbone.dimension == sum(body.dimension for body in alone)
    expected = torch.cat([body(X) for body in alone], -1)
    assert torch.equal(encode_support(learner, {"x": X}, torch.device("cpu"))["x"], expected)

"""What earlier releases wrote is read for ever: the stores in tests/fixtures, one for each format."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from meta_core.adapted import AdaptedModel, unpack_adapted
from meta_core.artifact import FORMAT, pack
from meta_core.catalogue import Catalogue
from meta_core.check import Finding, check
from meta_core.engine import Engine
from meta_core.errors import CorruptArtifact
from meta_core.ids import base_key, result_key, support_key
from meta_core.orders import finish, load_order
from meta_core.store import Store
from tests.fixtures.make import TENANT

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("format-*"))


@pytest.fixture(params=FIXTURES, ids=lambda folder: folder.name)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Store, dict[str, Any]]:
    """A store of an earlier release, and what it answered."""
    shutil.copytree(request.param / "store", tmp_path / "store")
    return Store(str(tmp_path / "store")), json.loads((request.param / "answers.json").read_text())


def ask(engine: Engine, model: AdaptedModel, queries: list[Any]) -> list[dict[str, Any]]:
    (answers,) = engine.predict([(model, engine.read(model, queries))])
    return answers


def numbers(value: Any) -> Any:
    """An answer with its numbers to be compared up to rounding."""
    if isinstance(value, dict):
        return {name: numbers(part) for name, part in value.items()}
    return pytest.approx(value, abs=1e-5) if isinstance(value, float | list) else value


@pytest.mark.parametrize("name", ["rows", "points"])
def test_a_model_answers_as_it_did_when_it_was_made(written: tuple[Store, dict[str, Any]], name: str) -> None:
    store, told = written
    engine, was = Engine(Catalogue(store), torch.device("cpu")), told[name]
    model = unpack_adapted(store.get(result_key(TENANT, was["ready"])), was["ready"])
    assert ask(engine, model, was["queries"]) == [numbers(answer) for answer in was["answers"]]


@pytest.mark.parametrize("name", ["rows", "points"])
def test_an_order_that_was_accepted_is_carried_out(written: tuple[Store, dict[str, Any]], name: str) -> None:
    store, told = written
    engine, was = Engine(Catalogue(store), torch.device("cpu")), told[name]
    order = load_order(store, TENANT, was["open"])
    assert order is not None
    finish(store, order, engine.adapt_order(order, store.get(support_key(TENANT, order.id))))
    model = unpack_adapted(store.get(result_key(TENANT, order.id)), order.id)
    assert len(ask(engine, model, was["queries"])) == len(was["answers"])


def test_such_a_store_is_whole(written: tuple[Store, dict[str, Any]]) -> None:
    assert not [finding for finding in check(written[0]) if isinstance(finding, Finding)]


def test_an_order_of_a_newer_release_is_understood_as_far_as_it_goes(written: tuple[Store, dict[str, Any]]) -> None:
    store, told = written
    key = f"{TENANT}/orders/{told['rows']['open']}.json"
    store.replace(key, json.dumps({**json.loads(store.get(key)), "invented_later": True}).encode())
    assert load_order(store, TENANT, told["rows"]["open"]) is not None


def test_an_artifact_of_a_newer_format_is_refused_by_name(store: Store) -> None:
    store.create(base_key("rows", 1), pack({}, {"kind": "base", "format": FORMAT + 1}))
    with pytest.raises(CorruptArtifact, match=f"has format {FORMAT + 1}; this program reads up to {FORMAT}"):
        Catalogue(store).get("rows@1")

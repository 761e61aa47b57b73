"""`shotput check`: everything that can be wrong with a store is found, and what is superfluous removed."""

import datetime
import json
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from app.cli import cli
from meta_core import uploads
from meta_core.adapted import unpack_adapted
from meta_core.artifact import pack
from meta_core.catalogue import Catalogue
from meta_core.check import Finding, check
from meta_core.engine import Engine, TaskRequest
from meta_core.ids import (
    base_key,
    card_key,
    checkpoint_key,
    content_key,
    new_id,
    order_key,
    result_key,
    support_key,
)
from meta_core.orders import Order, Result, accept, finish, load_order
from meta_core.store import Store
from tests.fixtures.make import QUERIES, ROWS, TENANT, bases

AT_ONCE = datetime.timedelta(0)


def accepted(store: Store, engine: Engine) -> tuple[Order, bytes]:
    record, support = engine.accept(TaskRequest(base="rows@1", tenant=TENANT, learner="ridge", **ROWS))
    order = Order(id=new_id("mdl"), tenant=TENANT, kind="adapt", spec={"record": record}, created_at="")
    accept(store, order, support)
    return order, support


@pytest.fixture
def made(store: Store, tmp_path: Path) -> tuple[Engine, Order, str]:
    """A store with a base model, an adapted model and a dataset."""
    store.create(base_key("rows", 1), bases()[0].pack())
    engine = Engine(Catalogue(store), torch.device("cpu"))
    order, support = accepted(store, engine)
    finish(store, order, engine.adapt_order(order, support))
    file = tmp_path / "rows.csv"
    file.write_text("x,label\n1,a\n2,b\n3,a\n4,b\n")
    card, _ = uploads.add(store, TENANT, file, format="csv")
    return engine, order, card["id"]


def found(store: Store, *, repair: bool = False) -> set[tuple[str, str, bool]]:
    findings = [one for one in check(store, repair=repair, recent=AT_ONCE) if isinstance(one, Finding)]
    return {(finding.key, finding.trouble, finding.repaired) for finding in findings}


def test_a_whole_store_is_whole(store: Store, made: tuple[Engine, Order, str]) -> None:
    accepted(store, made[0])
    assert found(store) == set()
    assert sum(1 for _ in check(store)) == 7


def test_what_is_superfluous_is_removed(store: Store, made: tuple[Engine, Order, str]) -> None:
    _, order, _ = made
    partial = f"{TENANT}/models/{order.id}.safetensors.0123456789abcdef.partial"
    support, upload, job = (
        support_key(TENANT, new_id("mdl")),
        content_key(TENANT, new_id("dst"), "0" * 64),
        new_id("job"),
    )
    finished = order_key(TENANT, order.id)
    (Path(store.url) / partial).write_bytes(b"half")
    store.create(support, pack({}, {"kind": "support"}))
    store.create(upload, b"x,y")
    store.create(checkpoint_key(TENANT, job), pack({}, {"kind": "checkpoint"}))
    content = {"id": order.id, "tenant": TENANT, "kind": "adapt", "spec": order.spec, "created_at": ""}
    store.create(finished, json.dumps(content).encode())
    expected = {
        (partial, "leftover"),
        (support, "orphan"),
        (upload, "orphan"),
        (checkpoint_key(TENANT, job), "orphan"),
        (finished, "finished"),
    }
    assert {(key, trouble) for key, trouble, _ in found(store)} == expected
    assert not [one for one in check(store) if isinstance(one, Finding) and one.trouble == "orphan"], "they are recent"
    assert found(store, repair=True) == {(*one, True) for one in expected}
    assert found(store) == set()
    assert store.exists(support_key(TENANT, order.id)), "what is needed stays"


def test_a_changed_byte_is_found_and_left_as_it_is(store: Store, made: tuple[Engine, Order, str]) -> None:
    _, order, dataset = made
    card = uploads.load_card(store, TENANT, dataset)
    changed = [result_key(TENANT, order.id), support_key(TENANT, order.id), base_key("rows", 1)]
    for key in [*changed, content_key(TENANT, dataset, card["sha256"])]:
        path = Path(store.url) / key
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    corrupt = {(key, "corrupt", False) for key in [*changed, card_key(TENANT, dataset)]}
    assert found(store, repair=True) >= corrupt


def test_what_lacks_what_it_needs_is_incomplete(store: Store, made: tuple[Engine, Order, str]) -> None:
    engine, order, dataset = made
    waiting, _ = accepted(store, engine)
    store.delete(support_key(TENANT, waiting.id))
    store.delete(base_key("rows", 1))
    store.delete(content_key(TENANT, dataset, uploads.load_card(store, TENANT, dataset)["sha256"]))
    keys = [order_key(TENANT, waiting.id), result_key(TENANT, order.id), card_key(TENANT, dataset)]
    assert found(store, repair=True) == {(key, "incomplete", False) for key in keys}


def test_the_command_says_so_by_its_exit_code(
    store: Store, made: tuple[Engine, Order, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOTPUT_STORE", store.url)
    whole = CliRunner().invoke(cli, ["check", "--json"])
    assert (whole.exit_code, json.loads(whole.stdout)["findings"]) == (0, [])
    store.create(support_key(TENANT, new_id("mdl")), pack({}, {"kind": "support"}))
    troubled = CliRunner().invoke(cli, ["check", "--json", "--older-than", "0"])
    assert (troubled.exit_code, json.loads(troubled.stdout)["troubles"]) == (1, {"orphan": 1})
    repaired = CliRunner().invoke(cli, ["check", "--repair", "--older-than", "0"])
    assert repaired.exit_code == 0
    assert repaired.stdout.rstrip().endswith("1 troubles, 1 repaired")


def test_a_copy_of_the_store_is_a_backup(store: Store, made: tuple[Engine, Order, str], tmp_path: Path) -> None:
    engine, order, dataset = made
    waiting, _ = accepted(store, engine)
    before = _answers(store, order)
    shutil.copytree(store.url, tmp_path / "backup")
    shutil.rmtree(store.url)
    shutil.copytree(tmp_path / "backup", store.url)
    restored = Store(store.url)
    assert found(restored) == set()
    assert _answers(restored, order) == before
    assert uploads.load_card(restored, TENANT, dataset)["examples"] == 4
    again = load_order(restored, TENANT, waiting.id)
    assert again is not None
    support = restored.get(support_key(TENANT, waiting.id))
    assert finish(restored, again, Engine(Catalogue(restored), engine.device).adapt_order(again, support))
    assert not finish(restored, again, Result(status="failed", record={}))


def _answers(store: Store, order: Order) -> object:
    engine = Engine(Catalogue(store), torch.device("cpu"))
    model = unpack_adapted(store.get(result_key(TENANT, order.id)), order.id)
    return engine.predict([(model, engine.read(model, QUERIES["rows"]))])

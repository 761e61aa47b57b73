"""Models that end by themselves, and what a sweep takes with it and leaves."""

import datetime
from pathlib import Path

import pytest

from app.cache import ModelCache
from app.dedupe import claim_content
from meta_core.errors import Gone
from meta_core.ids import new_id, request_key, result_key, support_key
from meta_core.orders import Order, accept, delete_result, load_outcome, now, results_of, versions_of
from meta_core.store import Store
from meta_core.sweep import end_expired, sweep, tenants
from tests.adapting import adapted

PAST, FUTURE = "2020-01-01T00:00:00.000Z", "2999-01-01T00:00:00.000Z"
NOW = datetime.timedelta(0)


def test_what_has_expired_is_deleted_for_everybody_at_once_and_then_for_good(store: Store) -> None:
    gone, stays = adapted(store, expires_at=PAST), adapted(store, expires_at=FUTURE)
    outcome = load_outcome(store, "default", gone)
    assert outcome is not None
    assert outcome[0] == "deleted"
    with pytest.raises(Gone, match="expired"):
        ModelCache(store, 1 << 20).get("default", gone)
    assert ModelCache(store, 1 << 20).get("default", stays).id == stays
    told: list[str] = []
    assert end_expired(store, "default", now(), told.append) == 1
    assert told == [gone]
    assert not store.exists(support_key("default", gone))
    assert len(store.get(result_key("default", gone))) < 1000
    assert store.exists(support_key("default", stays))
    assert end_expired(store, "default", now(), told.append) == 0
    assert end_expired(store, "default", FUTURE, told.append) == 1


def test_a_model_in_memory_is_gone_at_its_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    id = adapted(store, expires_at=FUTURE)
    cache = ModelCache(store, 1 << 20)
    assert cache.get("default", id).id == id
    monkeypatch.setattr("meta_core.orders.now", lambda: FUTURE)
    with pytest.raises(Gone, match="expired"):
        cache.get("default", id)


def test_a_sweep_takes_what_belongs_to_nothing_and_nothing_else(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    ready, unfinished = adapted(store), new_id("mdl")
    accept(store, Order(id=unfinished, tenant="default", kind="adapt", spec={"record": {}}, created_at=now()), b"x")
    orphan = support_key("default", new_id("mdl"))
    store.create(orphan, b"x")
    store.create(request_key("default", "0" * 64), b"{}")
    partial = tmp_path / "default" / "models" / "x.0123.partial"
    partial.write_bytes(b"half")
    kept = {support_key("default", ready), support_key("default", unfinished)}
    before = set(store.keys("default"))
    assert sweep(store, "default") == 0
    assert set(store.keys("default")) == before
    assert sweep(store, "default", NOW, NOW) == 3
    after = set(store.keys("default"))
    assert kept <= after
    assert before - after == {orphan, request_key("default", "0" * 64)}
    assert not partial.exists()
    assert tenants(store) == ["default"]


def test_the_mark_of_a_deleted_model_goes_after_a_month_and_then_its_id_is_unknown(store: Store) -> None:
    first = adapted(store)
    record = {"lineage": first}
    later = new_id("mdl")
    accept(store, Order(id=later, tenant="default", kind="adapt", spec={"record": record}, created_at=now()), b"x")
    stays = adapted(store)
    for id in (first, later):
        delete_result(store, "default", id, now())
    assert sweep(store, "default") == 0
    assert sweep(store, "default", forgotten=NOW) == 3
    assert load_outcome(store, "default", first) is None
    assert versions_of(store, "default", first) == [first]
    assert (load_outcome(store, "default", stays) or ("none",))[0] == "ready"
    assert set(results_of(store, "default", "mdl")) == {stays}


def test_the_same_content_is_one_model_until_that_is_deleted(store: Store) -> None:
    record = {"base": "table@1", "learner": "ridge", "name": "mine", "metadata": {}}
    first = adapted(store)
    assert claim_content(store, "default", record, b"support", first) == first
    assert claim_content(store, "default", {**record, "name": "other"}, b"support", new_id("mdl")) == first
    for other in ({**record, "learner": "gp"}, {**record, "keep_support": False}):
        id = new_id("mdl")
        assert claim_content(store, "default", other, b"support", id) == id
    assert claim_content(store, "other", record, b"support", (id := new_id("mdl"))) == id
    delete_result(store, "default", first, now())
    second = new_id("mdl")
    assert claim_content(store, "default", record, b"support", second) == second
    assert claim_content(store, "default", record, b"support", new_id("mdl")) == second

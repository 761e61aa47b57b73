"""A tenant has so many models and bytes; the store says how many, a counter in Redis saves asking it each time."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import Result as Answer
from redis import Redis
from typer.testing import CliRunner

from app import quotas
from app.cli import cli
from app.errors import status_of
from app.quotas import USAGE_KEY, Quota, Quotas
from meta_core.errors import NotFound, StorageQuotaExceeded
from meta_core.ids import new_id, result_key
from meta_core.orders import Order, Result, accept, delete_result, finish, now
from meta_core.store import Store
from meta_core.usage import Usage, measured
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("r"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    with server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def order_of(store: Store, tenant: str, support: bytes = b"12345678") -> Order:
    order = Order(id=new_id("mdl"), tenant=tenant, kind="adapt", spec={"record": {}}, created_at=now())
    accept(store, order, support)
    return order


def test_what_a_tenant_has_is_what_lies_in_the_store(store: Store) -> None:
    for key, size in (("one/datasets/a", 5), ("one/x/y", 7), ("two/x/y", 100)):
        store.create(key, b"." * size)
    assert measured(store, "one") == Usage(models=0, bytes=12)
    waiting, failed, cancelled, deleted = (order_of(store, "one") for _ in range(4))
    finish(store, failed, Result(status="failed", record={}))
    finish(store, cancelled, Result(status="cancelled", record={}))
    finish(store, deleted, Result(status="ready", record={}))
    delete_result(store, "one", deleted.id, now())
    used = measured(store, "one")
    assert used.models == 3
    assert used.bytes == sum(len(store.get(key)) for key in store.keys("one"))
    assert store.exists(result_key("one", deleted.id))
    delete_result(store, "one", waiting.id, now())
    assert measured(store, "one").models == 2


def test_an_outcome_is_longer_than_the_mark_of_a_deletion_however_long_the_tenants_name(store: Store) -> None:
    tenant = "t" * 63
    order = order_of(store, tenant)
    finish(store, order, Result(status="failed", record={}))
    assert measured(store, tenant).models == 1
    delete_result(store, tenant, order.id, now())
    assert measured(store, tenant).models == 0


def test_no_more_are_admitted_than_the_quota_however_many_ask_at_once(store: Store, redis: Redis) -> None:
    for _ in range(3):
        order_of(store, "one")
    processes = [Quotas(store, redis, Quota(models=10)) for _ in range(2)]
    processes[0].take("one", 1, 0)

    def asked(n: int) -> bool:
        try:
            processes[n % 2].take("one", 1, 0)
        except StorageQuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(asked, range(40))) == 6
    processes[0].take("other", 1, 0)


def test_who_is_refused_is_told_what_is_used_and_deleting_makes_room_at_once(store: Store, redis: Redis) -> None:
    asked = Quotas(store, redis, Quota(models=2, bytes=10_000))
    for _ in range(2):
        asked.take("one", 1, 8)
        last = order_of(store, "one")
    with pytest.raises(
        StorageQuotaExceeded, match=r"quota is 2 models; 2 are used, and this needs 1 more.*DELETE"
    ) as e:
        asked.take("one", 1, 8)
    assert (status_of(e.value), e.value.code) == (403, "quota_exceeded")
    delete_result(store, "one", last.id, now())
    asked.freed("one", models=1)
    asked.take("one", 1, 8)
    store.create("one/datasets/large", b"." * 9000)
    asked.take("one", 0, 9000)
    with pytest.raises(StorageQuotaExceeded, match="quota is 10000 bytes"):
        asked.take("one", 0, 5000)
    store.delete("one/datasets/large")
    asked.freed("one", models=0)
    asked.take("one", 0, 5000)


def test_a_counter_that_was_lost_or_went_wrong_is_set_right_from_the_store(
    store: Store, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Quotas(store, redis, Quota(models=2))
    asked.take("one", 1, 0)
    order_of(store, "one")
    redis.flushall()
    asked.take("one", 1, 0)
    assert redis.hget(USAGE_KEY + "one", "models") == b"2"
    redis.hset(USAGE_KEY + "one", "models", 99)
    with pytest.raises(StorageQuotaExceeded):  # measured a moment ago, and so believed
        asked.take("one", 1, 0)
    redis.hset(USAGE_KEY + "one", "doubted_from", 0)
    asked.take("one", 1, 0)
    assert 0 < redis.ttl(USAGE_KEY + "one") <= quotas.FRESH


def test_nothing_is_listed_or_counted_where_nothing_is_bounded(store: Store, redis: Redis) -> None:
    asked = Quotas(store, redis, Quota(models=0, bytes=0, adapts_per_minute=5))
    asked.take("one", 1, 10**12)
    asked.freed("one", models=1)
    assert not redis.keys()


def test_while_redis_is_away_all_are_let_through(store: Store, tmp_path: Path) -> None:
    asked = Quotas(store, Redis.from_url(f"unix://{tmp_path}/none"), Quota(models=1))
    for _ in range(3):
        asked.take("one", 1, 0)
    asked.freed("one", models=1)


def test_a_tenants_own_quotas_go_before_those_of_the_service(store: Store, redis: Redis) -> None:
    asked = Quotas(store, redis, Quota(models=1, bytes=5))
    quotas.override(store, "big", {"models": 0})
    quotas.override(store, "big", {"bytes": 100, "adapts_per_minute": 7})
    assert asked.of("big") == Quota(models=None, bytes=100, adapts_per_minute=7)
    assert asked.of("small") == Quota(models=1, bytes=5)
    asked.take("big", 50, 100)
    quotas.forget(store, "big")
    assert asked.of("big") == asked.of("small")
    with pytest.raises(NotFound):
        quotas.override(store, "../x", {"models": 1})


def test_quotas_are_set_shown_and_taken_away_by_command(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOTPUT_STORE", store.url)
    monkeypatch.setenv("SHOTPUT_MAX_BYTES", "500")

    def tenants(*arguments: str) -> Answer:
        return CliRunner().invoke(cli, ["tenants", *arguments])

    order_of(store, "acme")
    told = json.loads(tenants("set", "acme", "--models", "3", "--json").stdout)
    used = {"models_used": 1, "bytes_used": measured(store, "acme").bytes}
    assert told == {"tenant": "acme", "models": 3, "bytes": 500, "adapts_per_minute": "any", **used}
    assert [row["tenant"] for row in json.loads(tenants("show", "--json").stdout)] == ["acme"]
    assert "models_used" in tenants("show", "acme").stdout
    assert "name a quota" in str(tenants("set", "acme").exception)
    assert quotas.overrides(store, "acme") == {"models": 3}
    assert tenants("reset", "acme").exit_code == 0
    assert quotas.overrides(store, "acme") == {}

"""A tenant has so many adapts a minute, whichever process counts them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from app.errors import _headers, status_of
from app.rates import Rates
from meta_core.errors import QuotaExceeded
from tests.redis_server import RedisServer


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = RedisServer(tmp_path_factory.mktemp("r"))
    server.start()
    with server.client() as client:
        yield client
    server.stop()


def test_the_minute_is_shared_by_processes_and_not_by_tenants(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 600.0 + 15.0)
    first, second = Rates(redis), Rates(redis)
    for rates in (first, second, first):
        told = rates.count("one", 3)
    assert told == {"RateLimit-Policy": '"adapts";q=3;w=60', "RateLimit": '"adapts";r=0;t=45'}
    with pytest.raises(QuotaExceeded, match="at most 3 adapts in 60 s") as refused:
        second.count("one", 3)
    second.count("other", 3)
    headers = _headers(refused.value)
    assert status_of(refused.value) == 429
    assert headers["Retry-After"] == "45"
    assert headers["RateLimit-Policy"] == '"adapts";q=3;w=60'
    assert headers["RateLimit"] == '"adapts";r=0;t=45'
    monkeypatch.setattr("time.time", lambda: 660.0)
    first.count("one", 3)


def test_while_redis_is_away_all_are_let_through(tmp_path: Path) -> None:
    rates = Rates(Redis.from_url(f"unix://{tmp_path}/none"))
    for _ in range(3):
        rates.count("one", 1)

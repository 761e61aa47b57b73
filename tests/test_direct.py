"""`POST /predict` past the framework's routing is answered as its route answers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import keys
from app.direct import Direct
from app.main import create_app
from meta_core.limits import Limits
from meta_core.process import choose_device
from meta_core.store import Store
from tests.adapting import ROWS, adapted

Both = tuple[TestClient, TestClient]


@contextmanager
def clients(store: Store) -> Iterator[Both]:
    """Of an API that answers past the framework's routing, and of one that does not."""
    limits, device = Limits(max_body_bytes=1000), choose_device("cpu")
    direct, routed = (
        create_app(store, "unix:///nowhere", limits, device=device, wait_seconds=1, cache_bytes=1 << 20)
        for _ in range(2)
    )
    routed.user_middleware = [one for one in routed.user_middleware if one.cls is not Direct]
    with (
        TestClient(direct, client=("127.0.0.1", 1), base_url="http://localhost") as one,
        TestClient(routed, client=("127.0.0.1", 1), base_url="http://localhost") as other,
    ):
        yield one, other


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Both, str]]:
    store = Store(str(tmp_path_factory.mktemp("store")))
    with clients(store) as found:
        yield found, adapted(store)


def answers(both: Both, content: bytes, **headers: str) -> list[tuple[int, dict[str, Any], str]]:
    """Status, body and type of each answer."""
    responses = (
        client.post("/predict", content=content, headers={"X-Request-Id": "same", **headers}) for client in both
    )
    return [(response.status_code, response.json(), response.headers["content-type"]) for response in responses]


def body(**fields: Any) -> bytes:
    return json.dumps({"inputs": ROWS[:1], **fields}).encode()


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, 200),
        ({"coverage": 0.4, "explain": True}, 200),
        ({"coverage": 0.99}, 422),
        ({"model": f"mdl_{'0' * 32}"}, 404),
        ({"model": "no-such-alias"}, 404),
        ({"inputs": []}, 422),
        ({"inputs": [{"a": "x" * 2000}]}, 413),
        ({"no such field": 1}, 422),
    ],
)
def test_json_is_answered_alike(both: tuple[Both, str], more: dict[str, Any], status: int) -> None:
    direct, routed = answers(both[0], body(**{"model": both[1], **more}))
    assert direct == routed
    assert direct[0] == status


@pytest.mark.parametrize(("content", "kind"), [(b"{", "application/json"), (b"", ""), (b"a,b", "text/csv")])
def test_what_is_no_json_is_refused_alike(both: tuple[Both, str], content: bytes, kind: str) -> None:
    direct, routed = answers(both[0], content, **({"Content-Type": kind} if kind else {}))
    assert direct == routed
    assert direct[0] == (415 if kind == "text/csv" else 422)


def test_a_key_without_the_scope_is_refused_alike(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    _, text = keys.create(store, "default", ["read"], None, None)
    with clients(store) as both:
        direct, routed = answers(both, body(model="x"), Authorization=f"Bearer {text}")
    assert direct == routed
    assert direct[0] == 403

"""API keys: who gets in, and that nothing kept opens the door."""

import asyncio
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app import authentication, keys
from app.authentication import KeyRing, WithoutKeys
from app.main import create_app
from meta_core.errors import InvalidParameter, NotFound, Unauthenticated, Unavailable
from meta_core.limits import Limits
from meta_core.process import choose_device
from meta_core.store import Store
from tests.running import shotput


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def client(
    store: Store, *, key: str = "", host: str = "127.0.0.1", without_keys: WithoutKeys = "loopback"
) -> TestClient:
    device = choose_device("cpu")
    app = create_app(
        store, "unix:///nowhere", Limits(), device=device, wait_seconds=1, cache_bytes=1, without_keys=without_keys
    )
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return TestClient(app, base_url="http://localhost:8000", client=(host, 50000), headers=headers)


def status(store: Store, key: str, path: str = "/models") -> int:
    return client(store, key=key).get(path).status_code


def test_what_is_kept_does_not_hold_the_secret(store: Store) -> None:
    _, text = keys.create(store, "one", ["read"], None, None)
    assert all(text[20:].encode() not in store.get(path) for path in store.keys("keys"))


def test_a_key_opens_its_tenant_until_it_ends(store: Store) -> None:
    key, text = keys.create(store, "one", ["read"], "for tests", None)
    assert status(store, text) == 200
    assert status(store, text[:-1] + ("a" if text[-1] != "a" else "b")) == 401
    assert status(store, "") == status(store, "sk_x") == status(store, f"sk_{'0' * 16}_{'a' * 43}") == 401
    keys.revoke(store, key.id)
    assert status(store, text) == 401
    _, short = keys.create(store, "one", ["read"], None, 0)
    assert status(store, short) == 401


def test_who_is_refused_is_told_how_to_get_in(store: Store) -> None:
    _, text = keys.create(store, "one", ["read"], None, None)
    unknown = client(store).get("/models")
    assert unknown.headers["www-authenticate"].startswith("Bearer")
    assert unknown.headers["content-type"] == "application/problem+json"
    refused = client(store, key=text).post("/meta-train", json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "scope train" in refused.json()["detail"]


def test_a_rotated_key_gives_way_to_the_new_one(store: Store) -> None:
    key, old = keys.create(store, "one", ["read"], "door", None)
    new_key, new = keys.rotate(store, key.id, 0)
    assert (status(store, old), status(store, new)) == (401, 200)
    assert (new_key.tenant, new_key.scopes, new_key.name) == (key.tenant, key.scopes, key.name)
    keys.rotate(store, new_key.id, 60)
    assert status(store, new) == 200
    with pytest.raises(InvalidParameter, match="revoked"):
        keys.rotate(store, key.id, 0)


@pytest.mark.parametrize(
    ("without_keys", "local", "other"), [("loopback", 200, 403), ("anyone", 200, 200), ("nobody", 403, 403)]
)
def test_without_keys_it_is_told_who_is_served(store: Store, without_keys: WithoutKeys, local: int, other: int) -> None:
    assert client(store, without_keys=without_keys).get("/models").status_code == local
    assert client(store, without_keys=without_keys, host="10.1.2.3").get("/models").status_code == other


def test_a_page_of_another_site_does_not_get_in_by_a_name_of_its_own(store: Store) -> None:
    assert client(store).get("/models", headers={"Host": "evil.example"}).status_code == 403


def test_a_revocation_is_noticed_though_keys_are_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    key, text = keys.create(store, "one", ["read"], None, None)
    ring = KeyRing(store)
    assert asyncio.run(ring.caller(text)).tenant == "one"
    keys.revoke(store, key.id)
    monkeypatch.setattr(authentication, "FRESH", 0)
    with pytest.raises(Unauthenticated, match="revoked"):
        asyncio.run(ring.caller(text))


def test_a_known_key_is_good_while_the_store_is_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = keys.create(store, "one", ["read"], None, None)
    ring = KeyRing(store)
    asyncio.run(ring.caller(text))
    monkeypatch.setattr(authentication, "FRESH", 0)
    folder = Path(store.url) / "keys"
    folder.rename(folder.with_name("away"))
    folder.write_text("a file where a folder should be: every look fails")
    assert asyncio.run(ring.caller(text)).tenant == "one"
    with pytest.raises(Unavailable):
        asyncio.run(KeyRing(store).caller(text))


@pytest.mark.parametrize("tenant", ["../x", "keys", "bases", "", "A", "a" * 64])
def test_a_tenant_has_a_name_that_can_be_a_folder(store: Store, tenant: str) -> None:
    with pytest.raises(NotFound):
        keys.create(store, tenant, ["read"], None, None)


def test_the_command_line_makes_lists_and_ends_keys(tmp_path: Path) -> None:
    made = shotput("keys", "create", "one", "--scope", "read", "--days", "1", home=tmp_path)
    text, line = made.stdout.splitlines()[:2]
    assert text.startswith("sk_")
    id = line.partition(":")[0]
    shown = shotput("keys", "list", "--json", home=tmp_path).stdout
    assert id in shown
    assert text not in shown
    assert "hash" not in shown
    assert shotput("keys", "revoke", text, home=tmp_path).stdout == f"{id} is revoked\n"
    assert '"status": "revoked"' in shotput("keys", "list", "--json", home=tmp_path).stdout

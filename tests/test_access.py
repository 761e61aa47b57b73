"""Every route says what its caller must have been granted."""

from pathlib import Path

import pytest
from fastapi import FastAPI

from app.access import OPEN, CanRead, check_scopes
from app.caller import SCOPES, Caller
from app.main import create_app
from meta_core.limits import Limits
from meta_core.process import choose_device
from meta_core.store import Store


@pytest.fixture
def api(tmp_path: Path) -> FastAPI:
    store = Store(str(tmp_path))
    return create_app(
        store, "unix:///nowhere", Limits(), device=choose_device("cpu"), wait_seconds=1, cache_bytes=1 << 20
    )


def test_every_operation_shows_its_scope_in_the_manual(api: FastAPI) -> None:
    for path, operations in api.openapi()["paths"].items():
        for method, operation in operations.items():
            named = {scope for way in operation.get("security", []) for scope in way["HTTPBearer"]}
            assert path in OPEN or (named and named <= SCOPES), f"{method} {path}"


def test_a_route_that_forgets_its_scope_is_noticed_before_it_is_served(api: FastAPI) -> None:
    check_scopes(api)

    @api.get("/secrets", include_in_schema=False)
    def secrets() -> None: ...

    with pytest.raises(TypeError, match="/secrets names no scope"):
        check_scopes(api)


def test_a_route_that_names_its_scope_is_served(api: FastAPI) -> None:
    @api.get("/notes")
    def notes(caller: CanRead) -> None: ...

    check_scopes(api)


def test_a_scope_allows_itself_alone_and_admin_all() -> None:
    reader = Caller(tenant="a", key="1", scopes=frozenset({"read"}))
    assert [scope for scope in sorted(SCOPES) if reader.may(scope)] == ["read"]
    assert all(Caller(tenant="a", key="1", scopes=frozenset({"admin"})).may(scope) for scope in SCOPES)

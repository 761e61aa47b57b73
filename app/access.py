"""What a route asks of its caller."""

from typing import Annotated

from fastapi import FastAPI, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from fastapi.security import HTTPBearer, SecurityScopes

from app.caller import Caller
from meta_core.errors import Forbidden

OPEN = frozenset({"/healthz", "/readyz", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"})
"""Paths that answer anybody."""


_bearer = HTTPBearer(auto_error=False, description="an API key, `sk_…`; made with `shotput keys create`")


async def caller(request: Request, needed: SecurityScopes, _: Annotated[object, Security(_bearer)]) -> Caller:
    """The caller of this request, as `Authentication` found out. Raises `Forbidden`."""
    return granted(request.state.caller, *needed.scopes)


def granted(caller: Caller, *scopes: str) -> Caller:
    """The caller itself. Raises `Forbidden` when one of these scopes was not granted."""
    for scope in scopes:
        if not caller.may(scope):
            has = ", ".join(sorted(caller.scopes)) or "none"
            raise Forbidden(f"this needs the scope {scope}; the key {caller.key} has: {has}")
    return caller


CanRead = Annotated[Caller, Security(caller, scopes=["read"])]
CanPredict = Annotated[Caller, Security(caller, scopes=["predict"])]
CanAdapt = Annotated[Caller, Security(caller, scopes=["adapt"])]
CanTrain = Annotated[Caller, Security(caller, scopes=["train"])]
CanSeeMetrics = Annotated[Caller, Security(caller, scopes=["metrics"])]
CanAdmin = Annotated[Caller, Security(caller, scopes=["admin"])]


def check_scopes(app: FastAPI) -> None:
    """Raises `TypeError` for a route that neither names a scope nor is open to anybody."""
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route.original_route, "dependant", None)
        if route.path not in OPEN and not (dependant and scopes_of(dependant)):
            raise TypeError(f"{route.path} names no scope; give its function a parameter such as `caller: CanRead`")


def scopes_of(dependant: Dependant) -> set[str]:
    """The scopes that a route asks for."""
    own = set(dependant.own_oauth_scopes or ()) if dependant.call is caller else set()
    return own.union(*(scopes_of(inner) for inner in dependant.dependencies))

"""Who asks, and what they may do."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from fastapi import FastAPI, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from fastapi.security import HTTPBearer, SecurityScopes

from meta_core.errors import Forbidden
from meta_core.ids import DEFAULT_TENANT

Scope = Literal["read", "predict", "adapt", "train", "admin"]
SCOPES: frozenset[Scope] = frozenset(get_args(Scope))

OPEN = frozenset({"/healthz", "/readyz", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"})
"""Paths that answer anybody."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The tenant on whose behalf a request is made; `key` is the id of the API key, None without one."""

    tenant: str
    key: str | None
    scopes: frozenset[Scope]

    def may(self, scope: str) -> bool:
        """Whether a scope is granted; `admin` grants all."""
        return scope in self.scopes or "admin" in self.scopes


LOCAL = Caller(tenant=DEFAULT_TENANT, key=None, scopes=SCOPES)
"""Whoever reaches a service without keys."""

_bearer = HTTPBearer(auto_error=False, description="an API key, `sk_…`; made with `shotput keys create`")


async def caller(request: Request, needed: SecurityScopes, _: Annotated[object, Security(_bearer)]) -> Caller:
    """The caller of this request. Raises `Forbidden` when a scope that the route needs was not granted."""
    found: Caller = getattr(request.state, "caller", LOCAL)
    for scope in needed.scopes:
        if not found.may(scope):
            granted = ", ".join(sorted(found.scopes)) or "none"
            raise Forbidden(f"this needs the scope {scope}; the key {found.key} has: {granted}")
    return found


CanRead = Annotated[Caller, Security(caller, scopes=["read"])]
CanPredict = Annotated[Caller, Security(caller, scopes=["predict"])]
CanAdapt = Annotated[Caller, Security(caller, scopes=["adapt"])]
CanTrain = Annotated[Caller, Security(caller, scopes=["train"])]
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

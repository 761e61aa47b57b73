"""Who asks."""

from dataclasses import dataclass
from typing import Literal, get_args

from meta_core.ids import DEFAULT_TENANT

Scope = Literal["read", "predict", "adapt", "train", "metrics", "admin"]
SCOPES: frozenset[Scope] = frozenset(get_args(Scope))


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

"""How much each tenant may have: defaults of the service, what the store says of single tenants, and what is used.

What is used is counted in Redis by what is accepted, for all processes together, and measured anew in the store from
time to time: the store is the truth, the counter only saves listing it for every request.
"""

import json
import logging
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from threading import Lock
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from meta_core.errors import NotFound, StorageQuotaExceeded
from meta_core.ids import checked_tenant
from meta_core.store import Store
from meta_core.usage import Usage, measured

FOLDER = "tenants"
USAGE_KEY = "shotput:usage:"
"""Prefix of the Redis hash of what a tenant has."""
FRESH = 60.0
"""Seconds for which a measurement is counted on from."""
DOUBTED = 5.0
"""Age in seconds of a measurement that is no longer counted on from near the quota."""
NEAR = 0.9
"""Share of a quota above which it is looked at closely: what workers make is only found by measuring."""
SHARE = 10
"""A measurement holds at least so many times as long as it took: listing must not become the main work."""

log = logging.getLogger("shotput.api")


@dataclass(frozen=True, kw_only=True)
class Quota:
    """The most that a tenant may have, and may ask for in a minute; None or, of what it has, 0: any."""

    models: int | None = None
    bytes: int | None = None
    adapts_per_minute: int | None = None

    def but(self, own: Mapping[str, int | None]) -> "Quota":
        """With what a tenant has of its own in the place of this."""
        return replace(self, **own)

    @property
    def bounds_storage(self) -> bool:
        """Whether it matters what the tenant has."""
        return bool(self.models or self.bytes)


ANY = Quota()
NAMES = tuple(field.name for field in fields(Quota))


class Quotas:
    """Admits what fits; while Redis is away everything is let through, as accepted orders are kept then too."""

    def __init__(self, store: Store, redis: Redis, default: Quota) -> None:
        self._store = store
        self._redis = redis
        self._default = default
        self._measuring: defaultdict[str, Lock] = defaultdict(Lock)

    def of(self, tenant: str) -> Quota:
        """What holds for a tenant: its own quota where it has one, else the service's. Raises `Unavailable`."""
        return self._default.but(overrides(self._store, tenant))

    def take(self, tenant: str, models: int, bytes: int, quota: Quota | None = None) -> None:
        """Count what is about to be kept. Raises `StorageQuotaExceeded`, and counts nothing, where it does not fit."""
        quota = quota or self.of(tenant)
        if not quota.bounds_storage:
            return
        try:
            self._take(tenant, Usage(models, bytes), quota)
        except RedisError as error:
            log.warning("what %s has was not counted: %s", tenant, error)

    def freed(self, tenant: str, models: int) -> None:
        """Note that something was deleted, so that its bytes are looked for before anybody is refused."""
        if not self.of(tenant).bounds_storage:
            return
        try:
            with self._redis.pipeline() as noting:
                noting.hincrby(USAGE_KEY + tenant, "models", -models)
                noting.hset(USAGE_KEY + tenant, "doubted_from", 0)
                noting.expire(USAGE_KEY + tenant, int(FRESH), nx=True)
                noting.execute()
        except RedisError as error:
            log.warning("what %s deleted was not counted: %s", tenant, error)

    def _take(self, tenant: str, more: Usage, quota: Quota) -> None:
        used, doubted_from = self._add(tenant, more)
        if _is_doubted(used, doubted_from, quota):
            with self._measuring[tenant]:
                if _is_doubted(*self._add(tenant, Usage(0, 0)), quota):
                    self._measure(tenant)
            used, _ = self._add(tenant, more)  # what was added before the measurement is gone with it
        if what := _beyond(used, quota):
            self._add(tenant, Usage(-more.models, -more.bytes))
            found, wanted, most = getattr(used, what), getattr(more, what), getattr(quota, what)
            raise StorageQuotaExceeded(what, used=found - wanted, wanted=wanted, most=most)

    def _add(self, tenant: str, more: Usage) -> tuple[Usage, float | None]:
        """What the tenant has then, and from when on that is doubted; None where it was not measured."""
        key = USAGE_KEY + tenant
        with self._redis.pipeline() as adding:
            adding.hincrby(key, "models", more.models)
            adding.hincrby(key, "bytes", more.bytes)
            adding.hmget(key, "measured", "doubted_from")
            models, total, (is_measured, doubted_from) = adding.execute()
        return Usage(models, total), float(doubted_from or 0) if is_measured else None

    def _measure(self, tenant: str) -> None:
        key = USAGE_KEY + tenant
        started = time.time()
        found = measured(self._store, tenant)
        took = time.time() - started
        values: dict[Any, Any] = {
            **asdict(found),
            "measured": 1,
            "doubted_from": time.time() + max(DOUBTED, SHARE * took),
        }
        with self._redis.pipeline() as putting:
            putting.hset(key, mapping=values)
            putting.expire(key, int(max(FRESH, SHARE * took)))
            putting.execute()


def overrides(store: Store, tenant: str) -> dict[str, int | None]:
    """The quotas of its own that a tenant has. Raises `Unavailable`."""
    try:
        kept = json.loads(store.get(_path(tenant)))
    except NotFound:
        return {}
    return {name: kept[name] for name in NAMES if name in kept}  # a newer program may have written more


def override(store: Store, tenant: str, changes: Mapping[str, int]) -> dict[str, int | None]:
    """Give a tenant quotas of its own, beside those it has; all that it has of its own then. 0 is: any number."""
    quota = {**overrides(store, tenant), **{name: value or None for name, value in changes.items()}}
    store.replace(_path(tenant), json.dumps(quota).encode())
    return quota


def forget(store: Store, tenant: str) -> None:
    """Take a tenant's own quotas away: those of the service hold again."""
    store.delete(_path(tenant))


def listed(store: Store) -> list[str]:
    """The tenants that have quotas of their own."""
    return sorted(key.rsplit("/", 1)[-1].removesuffix(".json") for key in store.keys(FOLDER))


def _is_doubted(used: Usage, doubted_from: float | None, quota: Quota) -> bool:
    return doubted_from is None or (_beyond(used, quota, NEAR) is not None and time.time() >= doubted_from)


def _beyond(used: Usage, quota: Quota, share: float = 1.0) -> str | None:
    for what in ("models", "bytes"):
        most = getattr(quota, what)
        if most and getattr(used, what) > share * most:
            return what
    return None


def _path(tenant: str) -> str:
    return f"{FOLDER}/{checked_tenant(tenant)}.json"

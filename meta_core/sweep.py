"""What nobody needs any more, removed once it is old enough to be on nobody's way."""

import datetime
from collections.abc import Callable, Iterator

from meta_core.expiry import expired
from meta_core.ids import NAME, RESERVED, checked_tenant
from meta_core.orders import delete_result, load_outcome, open_orders_of, results_of, size_of_mark
from meta_core.store import PARTIAL, Store
from meta_core.uploads import sweep as sweep_uploads

LEFT_BEHIND = datetime.timedelta(days=1)
"""Age of an interrupted write or of a support set without order at which it is removed."""
REPEATABLE = datetime.timedelta(days=7)
"""Age at which idempotency keys and the contents of `dedupe` are forgotten: a request is a new one again."""

FORGOTTEN = datetime.timedelta(days=30)
"""Age at which the mark of a deleted model goes, and its id is an unknown one. More than what refers to ids is kept."""


def end_expired(store: Store, tenant: str, now: str, ended: Callable[[str], object]) -> int:
    """Delete the adapted models whose time is up; `ended` is told each id. Says how many."""
    found = list(expired(store, tenant, now))
    for id, note in found:
        delete_result(store, tenant, id, now)
        ended(id)
        store.delete(note)
    return len(found)


def sweep(
    store: Store,
    tenant: str,
    left_behind: datetime.timedelta = LEFT_BEHIND,
    repeatable: datetime.timedelta = REPEATABLE,
    forgotten: datetime.timedelta = FORGOTTEN,
) -> int:
    """Remove interrupted writes, supports and uploads that belong to nothing, old notes of requests and old marks.

    Says how many objects it removed. Whatever it removes was written that long ago, so that no request, worker or
    reconciler can still be about to use it.
    """
    sweep_uploads(store, tenant, left_behind)
    found = list(_left(store, tenant, left_behind))
    for folder in ("requests", "contents"):
        found += store.untouched(f"{checked_tenant(tenant)}/{folder}", repeatable)
    found += _marks(store, tenant, forgotten)
    for key in found:
        store.delete(key)
    return len(found)


def tenants(store: Store) -> list[str]:
    """All that have anything in the store."""
    return [name for name in store.folders() if NAME.fullmatch(name) and name not in RESERVED]


def _left(store: Store, tenant: str, age: datetime.timedelta) -> Iterator[str]:
    old = list(store.untouched(checked_tenant(tenant), age))
    # in the direction in which an order travels, so that none is seen in neither place
    owned = {*open_orders_of(store, tenant, "mdl"), *results_of(store, tenant, "mdl")}
    for key in old:
        folder, _, name = key.partition("/")[2].partition("/")
        if key.endswith(PARTIAL) or (folder == "supports" and name.split(".")[0] not in owned):
            yield key


def _marks(store: Store, tenant: str, age: datetime.timedelta) -> Iterator[str]:
    """Keys of old marks of deleted models, and of those models in their lineages."""
    old = set(store.untouched(f"{checked_tenant(tenant)}/models", age))
    small = {key for key, size in store.sizes(f"{tenant}/models") if size <= size_of_mark(tenant)}
    ids = {key.rsplit("/", 1)[-1].split(".")[0]: key for key in old & small}
    gone = {id: key for id, key in ids.items() if (load_outcome(store, tenant, id) or ("",))[0] == "deleted"}
    yield from gone.values()
    yield from (key for key in store.keys(f"{tenant}/lineages") if key.rsplit("/", 1)[-1] in gone)

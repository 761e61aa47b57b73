"""Adapted models that end by themselves: from that moment they are deleted for everybody, soon after for good."""

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from meta_core.ids import checked_id, checked_tenant
from meta_core.store import Store

FOLDER = "expiring"


def expires_at(seconds: int) -> str:
    """The time so many seconds from now, as `meta_core.orders.now` writes it: such texts sort by time."""
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def has_expired(record: Mapping[str, Any], now: str) -> bool:
    """Whether what a record shows has ended."""
    end = record.get("expires_at")
    return end is not None and str(end) <= now


def note_expiry(store: Store, tenant: str, id: str, end: str) -> None:
    """Write down when a model ends, so that nobody has to look through all of them."""
    store.create(_key(tenant, id, end), b"{}")


def expired(store: Store, tenant: str, now: str) -> Iterator[tuple[str, str]]:
    """Ids of models whose end has come, each with the key of its note, to be removed last."""
    for key in store.keys(f"{checked_tenant(tenant)}/{FOLDER}"):
        end, _, id = key.rsplit("/", 1)[-1].removesuffix(".json").rpartition("-")
        if end <= now:
            yield checked_id(id), key


def _key(tenant: str, id: str, end: str) -> str:
    return f"{checked_tenant(tenant)}/{FOLDER}/{end}-{checked_id(id)}.json"

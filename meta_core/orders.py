"""Orders: accepted requests for work, and the one outcome that each of them has.

An order lies in the store from the moment it is accepted until its outcome does. The outcome is written once, by
whoever is first: the adapted model or finished job, a failure, a cancellation. All that a queue ever carries is the
name of a job and the ids of the order.
"""

import datetime
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from torch import Tensor

from meta_core.artifact import Header, header_length, pack, unpack_header
from meta_core.errors import CorruptArtifact, Gone, InvalidTask, NotFound, NotReady, Unusable
from meta_core.expiry import has_expired, note_expiry
from meta_core.ids import checkpoint_key, lineage_folder, lineage_key, new_id, order_key, result_key, support_key
from meta_core.store import Store

Kind = Literal["adapt", "meta-train"]
"""Of workers and the queues they work on."""
Work = Literal["adapt", "meta-train", "evaluate", "readapt"]
"""Of orders."""
Outcome = Literal["ready", "failed", "cancelled", "deleted"]

QUEUES: dict[Kind, str] = {"adapt": "shotput-adapt", "meta-train": "shotput-train"}
"""Where the names of RQ's queues begin; each tenant has its own."""
TURNS: dict[Kind, str] = {"adapt": "shotput:turns:adapt", "meta-train": "shotput:turns:meta-train"}
"""Redis sorted sets of the tenants that have orders waiting, by the time since when."""
WORKER_OF: dict[Work, Kind] = {
    "adapt": "adapt",
    "meta-train": "meta-train",
    "evaluate": "meta-train",
    "readapt": "meta-train",
}
"""Which workers carry out an order: what may take long waits for nothing that must not."""
JOBS: dict[Work, str] = {
    "adapt": "worker.jobs.adapt",
    "meta-train": "worker.jobs.meta_train",
    "evaluate": "worker.jobs.evaluate",
    "readapt": "worker.jobs.readapt",
}
SECONDS: dict[Work, int] = {"adapt": 600, "meta-train": 7 * 24 * 3600, "evaluate": 24 * 3600, "readapt": 24 * 3600}
"""Longest time that one attempt may take."""
ATTEMPTS = 3
"""Starts of an order after which it is given up as one that kills its worker."""

DONE_CHANNEL = "shotput:done"
"""Redis channel on which the id of every order with a new outcome is announced."""
MOVED_CHANNEL = "shotput:moved"
"""Redis channel on which the id of every running order is announced while it gets on."""
PROGRESS_KEY = "shotput:progress:"
"""Prefix of the Redis hash in which a running order tells how far it is."""
WORKER_KEY = "shotput:worker:"
"""Prefix of the Redis key, short-lived and renewed, by which a worker shows that it is alive."""

_ASKED: dict[Work, str] = {"meta-train": "recipe", "evaluate": "evaluation", "readapt": "readapt"}
"""Under which name a job shows what was asked."""
_USUAL_HEADER = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Order:
    """An accepted request; `spec` is what was asked, as plain JSON.

    `request_id` names the HTTP request it came with, `trace` is the W3C traceparent to go on from.
    """

    id: str
    tenant: str
    kind: Work
    spec: dict[str, Any]
    created_at: str
    request_id: str | None = None
    trace: str | None = None

    @property
    def queue(self) -> str:
        """Name of the RQ queue in which it waits."""
        return queue_name(WORKER_OF[self.kind], self.tenant)

    def queue_call(self) -> dict[str, Any]:
        """Arguments of RQ's `enqueue_call`: a name and ids, one copy at most in the queue."""
        return {
            "func": JOBS[self.kind],
            "args": (self.tenant, self.id),
            "job_id": self.id,
            "unique": True,
            "timeout": SECONDS[self.kind],
            "result_ttl": 60,
            "failure_ttl": 60,
        }


_ORDER = frozenset(known.name for known in fields(Order))


@dataclass(frozen=True, kw_only=True)
class Result:
    """The outcome of an order: what to add to its public record, and with a `ready` one what is needed to use it."""

    status: Outcome
    record: dict[str, Any]
    details: dict[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


def queue_name(kind: Kind, tenant: str) -> str:
    """Name of the RQ queue in which a tenant's orders of one kind wait."""
    return f"{QUEUES[kind]}:{tenant}"


def accept(store: Store, order: Order, support: bytes | None = None) -> None:
    """Make an order durable. Only after this may it be queued, and its acceptance be told."""
    if end := order.spec.get("record", {}).get("expires_at"):
        note_expiry(store, order.tenant, order.id, end)
    if support is not None:
        store.create(support_key(order.tenant, order.id), support)
    note_version(store, order)
    store.create(order_key(order.tenant, order.id), json.dumps(asdict(order), allow_nan=False).encode())
    if (outcome := load_outcome(store, order.tenant, order.id)) is not None:  # accepted before, carried out meanwhile
        close(store, order, outcome)


def next_version(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the record of a model says of its place after the one it was made from."""
    return {
        "parent": record["id"],
        "version": record.get("version", 1) + 1,
        "lineage": record.get("lineage", record["id"]),
    }


def note_version(store: Store, order: Order) -> None:
    """Make a model that was made from another one known to its lineage."""
    if first := order.spec.get("record", {}).get("lineage"):
        store.create(lineage_key(order.tenant, first, order.id), b"")


def versions_of(store: Store, tenant: str, lineage: str) -> list[str]:
    """Ids of a first model and of all that came of it, oldest first; some may be deleted, or never have been made."""
    later = (key.rsplit("/", 1)[-1] for key in store.keys(lineage_folder(tenant, lineage)))
    return [lineage, *sorted(later)]


def load_order(store: Store, tenant: str, id: str) -> Order | None:
    """An order that has no outcome yet, or None."""
    try:
        kept = json.loads(store.get(order_key(tenant, id)))
    except NotFound:
        return None
    return Order(**{name: kept[name] for name in kept if name in _ORDER})  # a newer program may have written more


def open_orders(store: Store) -> Iterator[tuple[str, str]]:
    """Tenant and id of every order without outcome."""
    for tenant in store.folders():
        for id in open_orders_of(store, tenant, ""):
            yield tenant, id


def open_orders_of(store: Store, tenant: str, prefix: str) -> Iterator[str]:
    """Ids, of one prefix, of a tenant's orders without outcome."""
    return _ids(store, f"{tenant}/orders", prefix)


def results_of(store: Store, tenant: str, prefix: Literal["mdl", "job"]) -> Iterator[str]:
    """Ids of a tenant's orders of one prefix that have an outcome."""
    return _ids(store, f"{tenant}/{'models' if prefix == 'mdl' else 'jobs'}", prefix)


def _ids(store: Store, folder: str, prefix: str) -> Iterator[str]:
    names = (key.rsplit("/", 1)[-1].split(".")[0] for key in store.keys(folder))
    return (name for name in names if name.startswith(prefix))


def finish(store: Store, order: Order, result: Result) -> bool:
    """Commit the outcome of an order unless it has one; says whether this call did. The order is closed either way."""
    record = {**public_record(order), **result.record, "status": result.status}
    header = {
        "tenant": order.tenant,
        "kind": order.kind,
        "status": result.status,
        "record": record,
        "details": result.details,
    }
    first = store.create(result_key(order.tenant, order.id), pack(result.tensors, header))
    close(store, order, (result.status, record) if first else load_outcome(store, order.tenant, order.id))
    return first


def close(store: Store, order: Order, outcome: tuple[Outcome, dict[str, Any]] | None) -> None:
    """Remove what an order with this outcome needs no more; itself last, so that this is repeated after a crash."""
    if order.kind == "meta-train":
        store.delete(checkpoint_key(order.tenant, order.id))
    elif order.kind == "adapt" and (outcome is None or not _keeps_support(*outcome)):
        store.delete(support_key(order.tenant, order.id))
    store.delete(order_key(order.tenant, order.id))


def _keeps_support(status: Outcome, record: Mapping[str, Any]) -> bool:
    return status == "ready" and bool(record.get("keep_support", True))


def public_record(order: Order) -> dict[str, Any]:
    """What may be shown of an order before anything came of it."""
    asked = order.spec["record"] if order.kind == "adapt" else {_ASKED[order.kind]: order.spec}
    by = {"request_id": order.request_id} if order.request_id else {}
    return {"id": order.id, "kind": order.kind, "created_at": order.created_at, **by, **asked}


def load_outcome(store: Store, tenant: str, id: str) -> tuple[Outcome, dict[str, Any]] | None:
    """Status and public record of a finished order, or None while there is none. What has expired is deleted."""
    key = result_key(tenant, id)
    try:
        head = store.head(key, _USUAL_HEADER)
        if (length := header_length(head)) > len(head) - 8:
            head = store.head(key, 8 + length)
    except NotFound:
        return None
    header = unpack_header(head)
    if has_expired(header["record"], now()):
        return "deleted", {"id": id, "deleted_at": header["record"]["expires_at"]}
    return header["status"], header["record"]


def delete_result(store: Store, tenant: str, id: str, now: str) -> None:
    """Remove what an order made, leaving a mark that it is gone for good; a running worker cannot bring it back."""
    store.replace(result_key(tenant, id), _mark(tenant, id, now))
    store.delete(support_key(tenant, id))
    store.delete(order_key(tenant, id))


def size_of_mark(tenant: str) -> int:
    """Bytes of what `delete_result` leaves in the place of a result; every other outcome has more."""
    return len(_mark(tenant, new_id("mdl"), now()))


def _mark(tenant: str, id: str, now: str) -> bytes:
    record = {"id": id, "deleted_at": now}
    return pack({}, {"status": "deleted", "tenant": tenant, "kind": "adapt", "record": record})


def require_ready(status: str | None, record: Mapping[str, Any], id: str) -> None:
    """Raises the error that fits an id whose outcome is not `ready`; `status` is None for an unknown id."""
    if status is None:
        raise NotFound(f"there is no {id}")
    if status == "deleted":
        raise Gone(f"{id} was deleted at {record['deleted_at']}")
    if has_expired(record, now()):
        raise Gone(f"{id} expired at {record['expires_at']}")
    if status in ("queued", "running"):
        raise NotReady(f"{id} is {status}; it can be used once it is ready")
    if status != "ready" and str(record.get("error", {}).get("code")).startswith("invalid_"):
        raise InvalidTask(record["error"]["detail"])
    if status != "ready":
        raise Unusable(f"{id} {status}: {record.get('error', {}).get('detail', 'no reason was kept')}")


def checked_header(header: Header, id: str) -> Header:
    """The header of a ready result. Raises what `require_ready` does, or `CorruptArtifact`."""
    if "status" not in header or "record" not in header:
        raise CorruptArtifact(f"{id} is not the outcome of an order")
    require_ready(header["status"], header["record"], id)
    return header


def now() -> str:
    """The time in UTC, RFC 3339, with milliseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Moving adapted models to another version of their base model, from the support sets that were kept."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from meta_core.across import pinned
from meta_core.artifact import pack
from meta_core.base import Base
from meta_core.engine import Engine
from meta_core.errors import CorruptArtifact, InvalidExample, InvalidRequest, InvalidTask, NotFound, Unusable
from meta_core.expiry import note_expiry
from meta_core.ids import id_within, result_key, support_key
from meta_core.kept import load_support
from meta_core.modality import Description
from meta_core.orders import Order, Result, finish, load_outcome, next_version, note_version, now, results_of
from meta_core.raw import pack_raw, unpack_raw
from meta_core.reading import reading_difference
from meta_core.store import Store

log = logging.getLogger(__name__)

Record = dict[str, Any]
KEPT = (
    "params",
    "learner",
    "task",
    "modality",
    "classes",
    "shots",
    "unlabelled",
    "name",
    "metadata",
    "keep_support",
    "expires_at",
    "described_by",
)
"""What a model has in common with the one it was made from, unless the base model says otherwise."""
MOST_TOLD = 1000
"""Models that the report of a job tells one by one."""


def plan(engine: Engine, store: Store, order: Order, record: Record, to: str) -> tuple[Order, bytes]:
    """An order under the id of `order` that adapts again what `record` shows, on the base model `to`; its support set.

    A version that reads its inputs differently reads them again, as they were sent. Raises `InvalidTask` when the
    support set cannot serve it, or was not kept; `NotFound` when one of the versions is gone.
    """
    old = engine.catalogue.get(record["base"], order.tenant)
    new = engine.catalogue.get(to, order.tenant)
    if new.reference == old.reference:
        raise InvalidTask(f"{record['id']} is on {new.reference} already")
    try:
        inputs, header = load_support(store, order.tenant, record)
    except NotFound:
        raise InvalidTask(f"the support set of {record['id']} was not kept; adapt again from the examples") from None
    moved = {key: record[key] for key in KEPT if key in record}
    if difference := reading_difference(old, new):
        inputs, description = _read_again(engine, old, new, inputs, f"{record['id']}: {difference}")
        header = {**header, "description": description}
        moved.pop("described_by", None)
    _check_shape(record["id"], new, tuple(inputs["x"].shape[1:]))
    name, params = _learner(record, old, new)
    params = pinned(new, params, lambda reference: engine.catalogue.get(reference, order.tenant))
    moved |= {
        "base": new.reference,
        "modality": new.spec.modality,
        "learner": name,
        "params": params,
        "readapted_from": record["id"],
    }
    moved |= next_version(record)
    support = pack(inputs, {**header, "base": new.reference})
    return Order(
        id=order.id, tenant=order.tenant, kind="adapt", spec={"record": moved}, created_at=order.created_at
    ), support


def readapt_all(engine: Engine, store: Store, order: Order, report: Callable[[int, int], None]) -> Record:
    """Move every adapted model of a base model that is not on the version wanted, each once; what became of each.

    The id of each new model is made of the job's and the old model's: a job that is begun again goes on where it was.
    A model that was moved before is left to those it was moved to. `report` may raise to stop the work.
    """
    to = engine.catalogue.get(order.spec["to"], order.tenant)
    known = {record["id"]: record for record in _ready(store, order.tenant) if _name(record) == to.name}
    superseded = {record.get("readapted_from") for record in known.values()}
    moved, refused = [], []
    todo = [record for id, record in sorted(known.items()) if record["base"] != to.reference]
    for done, record in enumerate(todo):
        report(done, len(todo))
        id = id_within(order.id, "mdl", record["id"])
        if id not in known and record["id"] in superseded:
            continue
        try:
            after = known.get(id) or _moved(engine, store, order, record, id)
        except (InvalidRequest, NotFound, CorruptArtifact, Unusable) as error:
            refused.append({"from": record["id"], "reason": str(error)})
        else:
            moved.append({"from": record["id"], "to": id, "before": _score(record), "after": _score(after)})
    report(len(todo), len(todo))
    return {"base": to.reference, "moved": len(moved), "refused": len(refused), **_told(moved, refused)}


def _moved(engine: Engine, store: Store, order: Order, record: Record, id: str) -> Record:
    wanted = Order(id=id, tenant=order.tenant, kind="adapt", spec={}, created_at=now())
    one, support = plan(engine, store, wanted, record, order.spec["to"])
    result: Result = engine.adapt_order(one, support)
    if "expires_at" in record:
        note_expiry(store, order.tenant, id, record["expires_at"])
    store.create(support_key(order.tenant, id), support)
    note_version(store, one)
    finish(store, one, result)
    outcome = load_outcome(store, order.tenant, id)
    if outcome is None or outcome[0] != "ready":
        raise Unusable(f"{id} is {outcome and outcome[0]}")
    return outcome[1]


def _ready(store: Store, tenant: str) -> Iterator[Record]:
    for id in results_of(store, tenant, "mdl"):
        try:
            outcome = load_outcome(store, tenant, id)
        except CorruptArtifact as error:
            log.warning("%s is not moved: %s", result_key(tenant, id), error)
            continue
        if outcome is not None and outcome[0] == "ready":
            yield outcome[1]


def _name(record: Record) -> str:
    return str(record["base"]).partition("@")[0]


def _read_again(
    engine: Engine, old: Base, new: Base, tensors: dict[str, Tensor], difference: str
) -> tuple[dict[str, Tensor], Description]:
    """The support set as another version reads it, and by which description. Raises `InvalidTask`."""
    refused = f"from {old.reference} to {new.reference} cannot be moved {difference}, and "
    modality = new.modality(engine.limits)
    sent = _sent(old, tensors)
    if sent is None:
        raise InvalidTask(refused + "its examples are kept only as they were read; adapt again from the examples")
    known = len(tensors["y"])
    try:
        description = new.spec.description or modality.describe(sent[:known])
        x = modality.read(sent, description)
    except InvalidExample as error:
        raise InvalidTask(f"{refused}example {error.index} cannot be read so: {error.detail}") from None
    parts = {"x": x[:known], "y": tensors["y"], **({"unlabelled": x[known:]} if len(x) > known else {})}
    return parts | (pack_raw(sent) if modality.recover(x[:1]) is None else {}), description


def _sent(base: Base, tensors: dict[str, Tensor]) -> Sequence[Any] | None:
    """The inputs of a support set as they were sent, labelled ones first; None where they were not kept."""
    x = torch.cat([tensors[part] for part in ("x", "unlabelled") if part in tensors])
    kept = unpack_raw(tensors)
    return base.modality().recover(x) if kept is None else kept


def _check_shape(id: str, new: Base, shape: tuple[int, ...]) -> None:
    if new.spec.shape and new.spec.shape != shape:
        raise InvalidTask(
            f"{new.reference} takes inputs of shape {list(new.spec.shape)}; those of {id} are {list(shape)}"
        )


def _learner(record: Record, old: Base, new: Base) -> tuple[str, dict[str, Any]]:
    """The learner as it was chosen: the base model's own becomes the other's own, with what the caller had changed."""
    task, name = record["task"], record["learner"]
    own = old.spec.learners.get(task, ("", {}))[0]
    if name != own:
        return name, record["params"]
    other = new.spec.learners.get(task, ("", {}))[0]
    if not other:
        raise InvalidTask(f"{new.reference} does {' and '.join(new.spec.learners)}, not {task}")
    start = new.params_of(other, task)
    if other != own:
        return other, start
    before = old.params_of(own, task)
    changed = {key: value for key, value in record["params"].items() if before.get(key) != value}
    return other, {**start, **changed}


def _score(record: Record) -> float | None:
    scores = record.get("scores") or {}
    score: float | None = scores.get("loo_accuracy", scores.get("loo_r2"))
    return score


def _told(moved: list[Record], refused: list[Record]) -> Record:
    both = [(row["before"], row["after"]) for row in moved if row["before"] is not None and row["after"] is not None]
    told: Record = {"models": moved[:MOST_TOLD], "refusals": refused[:MOST_TOLD]}
    if both:
        before, after = (sum(scores) / len(both) for scores in zip(*both, strict=True))
        told |= {"before": round(before, 4), "after": round(after, 4), "change": round(after - before, 4)}
    return told

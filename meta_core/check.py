"""Whether a store is whole: objects are what was written, nothing is left behind, nothing that is needed is missing."""

import datetime
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from meta_core.across import bases_named
from meta_core.adapted import unpack_adapted
from meta_core.artifact import unpack
from meta_core.base import unpack_base
from meta_core.catalogue import Catalogue
from meta_core.errors import CorruptArtifact, MetaError, NotFound
from meta_core.ids import ID, card_key, content_key, support_key
from meta_core.orders import close, load_order, load_outcome
from meta_core.store import PARTIAL, Store

Trouble = Literal["corrupt", "incomplete", "orphan", "leftover", "finished"]
MENDED: frozenset[Trouble] = frozenset({"orphan", "leftover", "finished"})
"""Troubles that removing the object ends: it belongs to nothing, its write was interrupted, its order has its outcome.

The others lose something: what is corrupt or lacks what it needs has to come from a backup.
"""
RECENT = datetime.timedelta(hours=1)
"""Age below which what looks left behind may still be on its way to where it belongs."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One object that is not as it should be."""

    key: str
    trouble: Trouble
    detail: str
    repaired: bool = False


def check(store: Store, *, repair: bool = False, recent: datetime.timedelta = RECENT) -> Iterator[Finding | str]:
    """Look at every object: its key, or what is wrong with it. May run beside the service.

    Repairing removes what is superfluous, and nothing else. Raises `Unavailable` when the store does not answer.
    """
    catalogue = Catalogue(store)
    for folder in store.folders():
        old = set(store.untouched(folder, recent))
        for key in list(store.untouched(folder, datetime.timedelta(0))):
            finding = _checked(store, catalogue, key, old=key in old)
            if finding is not None and repair and finding.trouble in MENDED:
                _remove(store, finding)
                finding = replace(finding, repaired=True)
            yield finding or key


def _remove(store: Store, finding: Finding) -> None:
    tenant, _, rest = finding.key.partition("/orders/")
    if finding.trouble == "finished" and (order := load_order(store, tenant, rest.removesuffix(".json"))):
        close(store, order, load_outcome(store, tenant, order.id))
    else:
        store.delete(finding.key)


def _checked(store: Store, catalogue: Catalogue, key: str, *, old: bool) -> Finding | None:
    if key.endswith(PARTIAL) or key.startswith("checks/"):
        return Finding(key=key, trouble="leftover", detail="an interrupted write") if old else None
    try:
        _read(store, key)
        trouble = _place(store, catalogue, key)
    except NotFound:  # removed since it was listed
        return None
    except (CorruptArtifact, ValueError, KeyError, TypeError) as error:
        return Finding(key=key, trouble="corrupt", detail=str(error) or type(error).__name__)
    if trouble is None or (trouble[0] in MENDED and not old):
        return None
    return Finding(key=key, trouble=trouble[0], detail=trouble[1])


def _read(store: Store, key: str) -> None:
    """Raises `CorruptArtifact` or `ValueError` for what is not whole in itself."""
    if key.endswith(".safetensors"):
        unpack(store.get(key))
    elif key.endswith(".json"):
        json.loads(store.get(key))


def _place(store: Store, catalogue: Catalogue, key: str) -> tuple[Trouble, str] | None:
    """What is wrong with an object among the others."""
    kind, *path = key.split("/") if key.startswith("bases/") else key.split("/")[1:]
    tenant = None if key.startswith("bases/") else key.split("/", maxsplit=1)[0]
    if kind == "bases" and key.endswith(".safetensors"):
        unpack_base(store.get(key))
    look = _LOOKS.get(kind)
    id = path[0].split(".")[0] if path else ""
    return look(store, catalogue, tenant, id, path[-1]) if look and tenant and ID.fullmatch(id) else None


def _order(store: Store, _: Catalogue, tenant: str, id: str, _file: str) -> tuple[Trouble, str] | None:
    order = load_order(store, tenant, id)
    if order is None:
        return None
    if load_outcome(store, tenant, id) is not None:
        return "finished", "the order has its outcome"
    if order.kind == "adapt" and not store.exists(support_key(tenant, id)):
        return "incomplete", "the support set of the order is not there"
    return None


def _support(store: Store, _: Catalogue, tenant: str, id: str, _file: str) -> tuple[Trouble, str] | None:
    if load_order(store, tenant, id) is not None:
        return None
    outcome = load_outcome(store, tenant, id)
    if outcome is None:
        return "orphan", "there is neither an order nor a model of this support set"
    return None if outcome[0] == "ready" else ("orphan", f"the support set of a model that is {outcome[0]}")


def _model(store: Store, catalogue: Catalogue, tenant: str, id: str, file: str) -> tuple[Trouble, str] | None:
    outcome = load_outcome(store, tenant, id)
    if outcome is None or outcome[0] != "ready":
        return None
    model = unpack_adapted(store.get(f"{tenant}/models/{file}"), id)
    try:
        for reference in (model.base, *bases_named(model.params)):
            catalogue.get(reference, tenant)
    except MetaError as error:
        return "incomplete", f"a base model of it cannot be had: {error}"
    return None


def _checkpoint(store: Store, _: Catalogue, tenant: str, id: str, _file: str) -> tuple[Trouble, str] | None:
    return None if load_order(store, tenant, id) else ("orphan", "there is no open order of this checkpoint")


def _dataset(store: Store, _: Catalogue, tenant: str, id: str, file: str) -> tuple[Trouble, str] | None:
    try:
        card = json.loads(store.get(card_key(tenant, id)))
    except NotFound:
        return "orphan", "an upload that was never finished: there is no card beside it"
    if file != "card.json":
        return None if file == card["sha256"] else ("orphan", "the card beside it is of another file")
    try:
        found = _digest(store, content_key(tenant, id, card["sha256"]))
    except NotFound:
        return "incomplete", "the file of the dataset is not there"
    return None if found == card["sha256"] else ("corrupt", "the file of the dataset is not what was uploaded")


def _digest(store: Store, key: str) -> str:
    with store.as_file(key) as path, path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


Look = Callable[[Store, Catalogue, str, str, str], tuple[Trouble, str] | None]
_LOOKS: dict[str, Look] = {
    "orders": _order,
    "supports": _support,
    "models": _model,
    "checkpoints": _checkpoint,
    "datasets": _dataset,
}

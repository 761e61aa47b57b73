"""The same examples with the same settings, sent again: one adapted model of a tenant for both."""

import hashlib
import json
from typing import Any

from meta_core.errors import NotFound
from meta_core.ids import content_of_model_key
from meta_core.orders import load_outcome
from meta_core.store import Store

OF_ITS_OWN = ("name", "metadata")
"""What a caller notes beside a model, and what makes it no other."""


def claim_content(store: Store, tenant: str, record: dict[str, Any], support: bytes, id: str) -> str:
    """The id of the model of this content; `id` where there is none yet, or none any more."""
    key = content_of_model_key(tenant, _digest(record, support))
    note = json.dumps({"id": id}).encode()
    if store.create(key, note):
        return id
    try:
        known = str(json.loads(store.get(key))["id"])
    except NotFound:  # swept away just now
        return id
    outcome = load_outcome(store, tenant, known)
    if outcome is None or outcome[0] == "ready":
        return known
    store.replace(key, note)
    return id


def _digest(record: dict[str, Any], support: bytes) -> str:
    settings = {key: value for key, value in record.items() if key not in OF_ITS_OWN}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode() + b"\0" + support).hexdigest()

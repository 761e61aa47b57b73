"""Requests that may be repeated: the same key and the same body are the same order."""

import hashlib
import json
from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel

from meta_core.errors import InvalidRequest, NotFound
from meta_core.ids import request_key
from meta_core.store import Store

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=200, description="your own name for this request, to repeat it safely"),
]


class Once:
    """One request under its key; the first id that is claimed for it is the id for ever."""

    def __init__(self, store: Store, tenant: str, key: str, body: BaseModel) -> None:
        self._store = store
        self._key = key
        self._path = request_key(tenant, _digest([type(body).__name__, key]))
        self._asked = _digest(body.model_dump())

    def known(self) -> str | None:
        """The id that was claimed, if any. Raises `InvalidRequest` when that was for another body."""
        try:
            claimed = json.loads(self._store.get(self._path))
        except NotFound:
            return None
        if claimed["asked"] != self._asked:
            raise InvalidRequest(f"the Idempotency-Key {self._key!r} was used before, with another body")
        return str(claimed["id"])

    def claim(self, id: str) -> str:
        """The id given, or the one that another request with the key was faster to claim. Raises `InvalidRequest`."""
        if self._store.create(self._path, json.dumps({"id": id, "asked": self._asked}).encode()):
            return id
        return self.known() or id


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=repr).encode()).hexdigest()

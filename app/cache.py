"""Adapted models kept in memory, the least recently used dropped first."""

import threading
from collections import OrderedDict

from meta_core import metrics
from meta_core.adapted import AdaptedModel, unpack_adapted
from meta_core.errors import NotFound
from meta_core.ids import checked_id, result_key
from meta_core.orders import load_order, require_ready
from meta_core.store import Store

OVERHEAD = 4096
"""Bytes that a model takes beside its state, roughly."""


class ModelCache:
    """Adapted models by id, at most `capacity` bytes of them."""

    def __init__(self, store: Store, capacity: int) -> None:
        self._store = store
        self._capacity = capacity
        self._models: OrderedDict[tuple[str, str], AdaptedModel] = OrderedDict()
        self._bytes = 0
        self._changes = 0
        self._lock = threading.Lock()

    def at_hand(self, tenant: str, id: str) -> AdaptedModel | None:
        """A ready model if it is in memory. Raises `Gone`."""
        with self._lock:
            model = self._models.get((tenant, id))
            if model is None:
                return None
            self._models.move_to_end((tenant, id))
        metrics.CACHE_HITS.inc()
        return _unexpired(model)

    def get(self, tenant: str, id: str) -> AdaptedModel:
        """A ready model. Raises `NotFound`, `NotReady`, `Unusable` or `Gone`."""
        with self._lock:
            changes = self._changes
        if (known := self.at_hand(tenant, id)) is not None:
            return known
        metrics.CACHE_MISSES.inc()
        model = self._load(tenant, id)
        with self._lock:
            if changes == self._changes:  # else it may have been deleted while it was read
                self._keep((tenant, id), model)
        return model

    def evict(self, id: str) -> None:
        """Forget a model that was deleted."""
        with self._lock:
            self._changes += 1
            for key in [key for key in self._models if key[1] == id]:
                self._drop(key)
            self._tell()

    def clear(self) -> None:
        """Forget all, for when news of deletions may have been missed."""
        with self._lock:
            self._changes += 1
            self._models.clear()
            self._bytes = 0
            self._tell()

    def _load(self, tenant: str, id: str) -> AdaptedModel:
        if not checked_id(id).startswith("mdl_"):
            raise NotFound(f"{id} is a job, not an adapted model")
        try:
            return unpack_adapted(self._store.get(result_key(tenant, id)), id)
        except NotFound:
            status = "queued" if load_order(self._store, tenant, id) else None
            require_ready(status, {}, id)
            raise

    def _keep(self, key: tuple[str, str], model: AdaptedModel) -> None:
        if key not in self._models:
            self._models[key] = model
            self._bytes += model.bytes + OVERHEAD
        while self._bytes > self._capacity and len(self._models) > 1:
            self._drop(next(iter(self._models)))
            metrics.CACHE_EVICTIONS.inc()
        self._tell()

    def _drop(self, key: tuple[str, str]) -> None:
        self._bytes -= self._models.pop(key).bytes + OVERHEAD

    def _tell(self) -> None:
        metrics.CACHE_BYTES.set(self._bytes)
        metrics.CACHE_MODELS.set(len(self._models))


def _unexpired(model: AdaptedModel) -> AdaptedModel:
    if model.expires_at is not None:
        require_ready("ready", {"expires_at": model.expires_at}, model.id)
    return model

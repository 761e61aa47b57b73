"""The last checkpoint of a training, in the store: what makes a killed training continue instead of beginning again."""

import logging
from collections.abc import Callable

from meta_core.artifact import pack, unpack
from meta_core.errors import CorruptArtifact, NotFound
from meta_core.ids import checkpoint_key
from meta_core.orders import Order
from meta_core.store import Store
from meta_core.training import Tensors

log = logging.getLogger(__name__)


class StoredCheckpoints:
    """Checkpoints of one order; `saved` is called after each."""

    def __init__(self, store: Store, order: Order, saved: Callable[[], None]) -> None:
        self._store = store
        self._id = order.id
        self._key = checkpoint_key(order.tenant, order.id)
        self._saved = saved

    def load(self) -> Tensors | None:
        """The last one, if there is any."""
        try:
            tensors, header = unpack(self._store.get(self._key))
        except NotFound:
            return None
        if header.get("kind") != "checkpoint":
            raise CorruptArtifact(f"expected a checkpoint, found {header.get('kind')!r}")
        log.info("%s: continues after step %d", self._id, tensors["step"])
        return tensors

    def save(self, tensors: Tensors) -> None:
        """Replace the last one."""
        self._store.replace(self._key, pack(tensors, {"kind": "checkpoint"}))
        self._saved()

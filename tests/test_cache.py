"""Adapted models in memory: bounded, and never one that was deleted."""

from pathlib import Path
from typing import Any

import pytest
import torch

from app.cache import OVERHEAD, ModelCache
from meta_core.errors import Gone, NotFound, NotReady
from meta_core.ids import new_id
from meta_core.orders import Order, Result, accept, delete_result, finish
from meta_core.store import Store

SIZE = 1000 * 4 + OVERHEAD


def ready_model(store: Store) -> str:
    asked = {"base": "x@1", "learner": "ridge", "task": "classification", "classes": ["a", "b"]}
    order = Order(id=new_id("mdl"), tenant="default", kind="adapt", spec={"record": asked}, created_at="")
    details: dict[str, Any] = {"params": {}, "shape": [1], "description": {}, "calibration": 1.0}
    finish(store, order, Result(status="ready", record={}, details=details, tensors={"w": torch.ones(1000)}))
    return order.id


def test_the_least_recently_used_is_dropped(store: Store) -> None:
    cache = ModelCache(store, 2 * SIZE)
    first, second, third = (ready_model(store) for _ in range(3))
    kept = cache.get("default", first)
    cache.get("default", second)
    assert cache.get("default", first) is kept
    cache.get("default", third)
    assert cache.get("default", first) is kept
    assert list(cache._models) == [("default", third), ("default", first)]


def test_a_model_deleted_while_it_is_read_is_not_kept(tmp_path: Path) -> None:
    class Deleting(Store):
        """Deletes each object right after it was read, and says so."""

        def get(self, key: str) -> bytes:
            content = super().get(key)
            delete_result(self, "default", id, "now")
            cache.evict(id)
            return content

    store = Deleting(str(tmp_path / "store"))
    cache = ModelCache(store, 10 * SIZE)
    id = ready_model(store)
    cache.get("default", id)
    with pytest.raises(Gone):
        cache.get("default", id)


def test_what_is_not_ready_is_not_there(store: Store) -> None:
    cache = ModelCache(store, SIZE)
    queued = Order(id=new_id("mdl"), tenant="default", kind="adapt", spec={"record": {}}, created_at="")
    accept(store, queued)
    with pytest.raises(NotReady):
        cache.get("default", queued.id)
    with pytest.raises(NotFound):
        cache.get("default", new_id("mdl"))
    with pytest.raises(NotFound):
        cache.get("other", ready_model(store))

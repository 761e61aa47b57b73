"""A small adapted model in a store, made without a queue."""

from typing import Any

import torch

from meta_core.catalogue import Catalogue
from meta_core.engine import Engine, TaskRequest
from meta_core.ids import new_id
from meta_core.orders import Order, accept, finish, now
from meta_core.store import Store

ROWS = [{"a": row, "b": "xy"[row % 2]} for row in range(4)]


TASK = TaskRequest(base="table", inputs=ROWS, labels=["u", "v"] * 2, learner="ridge")


def adapted(store: Store, task: TaskRequest = TASK, **record: Any) -> str:
    """Its id; `record` is added to what is shown of it."""
    engine = Engine(Catalogue(store), torch.device("cpu"))
    asked, support = engine.accept(task)
    order = Order(id=new_id("mdl"), tenant="default", kind="adapt", spec={"record": asked | record}, created_at=now())
    accept(store, order, support)
    finish(store, order, engine.adapt_order(order, support))
    return order.id

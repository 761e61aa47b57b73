"""The adapt that all of them do, and the book of those that were done."""

import functools
import os
import time
from pathlib import Path
from typing import Any

import torch

from meta_core.artifact import pack
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine, TaskRequest
from meta_core.ids import new_id
from meta_core.orders import Order, now
from meta_core.process import prepare_process
from meta_core.store import Store

FOLDER = Path(os.environ.get("CRASH_FOLDER", "."))
BOOK = "book.txt"
"""A line for each adapt that was done: number of the request, id of its job, time."""


def adapt(number: str, job: str, body: dict[str, Any]) -> None:
    """Check, adapt, keep the model, and enter it in the book."""
    asked = TaskRequest(base=body["base"], learner=body["learner"], **body["support"])
    record, support = _engine().accept(asked)
    order = Order(id=new_id("mdl"), tenant="default", kind="adapt", spec={"record": record}, created_at=now())
    result = _engine().adapt_order(order, support)
    _store().replace(f"models/{job}", pack(result.tensors, {"record": record, "details": result.details}))
    with (FOLDER / BOOK).open("a") as book:
        book.write(f"{number} {job} {time.time()}\n")


@functools.cache
def _store() -> Store:
    return Store(str(FOLDER / "store"))


@functools.cache
def _engine() -> Engine:
    prepare_process(1)
    return Engine(Catalogue(_store()), torch.device("cpu"))

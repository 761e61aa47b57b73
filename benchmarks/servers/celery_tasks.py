"""The adapt as a task of Celery: prefork, Redis as broker and for the results, the module loaded when a process starts.

celery -A benchmarks.servers.celery_tasks worker --pool prefork --concurrency 1

What it learns is written to a file, without syncing it; scores, calibration and checks are left out. `adapt_durably`
also keeps the support set, and returns once both are synced to disk.
"""

import json
import os
import uuid
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import worker_process_init

app = Celery("adapt", broker=os.environ["BENCHMARK_REDIS"], backend=os.environ["BENCHMARK_REDIS"])
app.conf.worker_prefetch_multiplier = 1
served: Any = None


@worker_process_init.connect
def load(**_: Any) -> None:
    """Once in each process."""
    global served  # noqa: PLW0603 – this is how tasks of Celery share what their process has loaded
    from benchmarks.servers.module import Served  # noqa: PLC0415

    served = Served()


@app.task
def adapt(inputs: dict[str, str], labels: list[str]) -> str:
    """The id of a model."""
    id = uuid.uuid4().hex
    (Path(os.environ["BENCHMARK_FOLDER"]) / id).write_bytes(served.adapt(inputs, labels))
    return id


@app.task
def adapt_durably(inputs: dict[str, str], labels: list[str]) -> str:
    """The id of a model that survives a power cut, and so does what it was learned from."""
    id = uuid.uuid4().hex
    folder = Path(os.environ["BENCHMARK_FOLDER"])
    _write(folder / f"{id}.support", json.dumps([inputs, labels]).encode())
    _write(folder / id, served.adapt(inputs, labels))
    return id


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    descriptor = os.open(path.parent, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)

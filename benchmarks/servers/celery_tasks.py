"""The adapt as a task of Celery: prefork, Redis as broker and for the results, the module loaded when a process starts.

celery -A benchmarks.servers.celery_tasks worker --pool prefork --concurrency 1

What it learns is written to a file, without syncing it; scores, calibration and checks are left out.
"""

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

"""RQ with what it does by itself: `uvicorn` for the requests, `rq worker` for the work."""

import os
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI
from redis import Redis
from rq import Queue, Worker, get_current_job

from benchmarks.crashed import work

REDIS_URL = os.environ["CRASH_REDIS"]
"""A setting of `rq worker --config` with this module, which so is imported before any work."""
redis = Redis.from_url(REDIS_URL)
queue = Queue("adapts", connection=redis)
app = FastAPI()


@app.get("/readyz")
def ready() -> dict[str, int]:
    """The workers there are; RQ takes those that were killed for living ones for minutes."""
    return {"workers": sum(Path(f"/proc/{worker.pid}").exists() for worker in Worker.all(queue=queue))}


@app.post("/adapt", status_code=202)
def order(number: str, body: Annotated[dict[str, Any], Body()]) -> dict[str, str]:
    """Queue an adapt."""
    return {"id": queue.enqueue(adapt, number, body).id}


def adapt(number: str, body: dict[str, Any]) -> None:
    """The job."""
    job = get_current_job()
    assert job is not None
    work.adapt(number, job.id, body)

"""Celery with `acks_late`: `uvicorn` for the requests, `celery worker` for the work."""

import os
from typing import Annotated, Any

from celery import Celery
from fastapi import Body, FastAPI

from benchmarks.crashed import work

celery = Celery("adapts", broker="redis+socket://" + os.environ["CRASH_REDIS"].removeprefix("unix://"))
celery.conf.task_acks_late = True
celery.conf.task_ignore_result = True
if seconds := os.environ.get("CRASH_VISIBILITY"):
    celery.conf.broker_transport_options = {"visibility_timeout": int(seconds)}
app = FastAPI()


@app.get("/readyz")
def ready() -> dict[str, int]:
    """The workers there are."""
    return {"workers": len(celery.control.ping(timeout=1))}


@app.post("/adapt", status_code=202)
def order(number: str, body: Annotated[dict[str, Any], Body()]) -> dict[str, str]:
    """Queue an adapt."""
    return {"id": adapt.delay(number, body).id}


@celery.task(bind=True)
def adapt(self: Any, number: str, body: dict[str, Any]) -> None:
    """The task."""
    work.adapt(number, self.request.id, body)

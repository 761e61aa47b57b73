"""/jobs: how far an order is."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from app.access import CanAdapt, CanRead
from app.deps import PartsDep
from app.events import ENDED, events
from app.openapi import only
from app.orders import UNFINISHED
from app.schemas.jobs import JobView
from app.views import job_view

router = APIRouter(prefix="/jobs", tags=["jobs"])


@router.get("/{id}", response_model=JobView, responses=only(404, 422, 503))
async def get_job(
    id: str,
    caller: CanRead,
    parts: PartsDep,
    wait: Annotated[float, Query(ge=0, le=60, description="seconds to wait for the end")] = 0,
) -> dict[str, Any]:
    """State and progress of an adapt (by its model's id) or a meta-training."""
    record = await asyncio.to_thread(parts.orders.record, caller.tenant, id)
    if wait and record["status"] in UNFINISHED:
        record = await parts.orders.wait(caller.tenant, id, wait)
    return job_view(record)


@router.get(
    "/{id}/events",
    response_class=StreamingResponse,
    responses={
        200: {"description": "A stream of events", "content": {"text/event-stream": {}}},
        204: {"description": "`Last-Event-ID` is that of the last event: there is nothing more"},
        **only(404, 503),
    },
)
async def job_events(
    id: str,
    caller: CanRead,
    parts: PartsDep,
    last_event_id: Annotated[str | None, Header(description="id of the last event that was seen")] = None,
) -> Response:
    """How a job gets on, as server-sent events: for `EventSource`, or `curl -N`.

    `progress` (status, step, loss, episodes, seconds to go), `validation` (a point of the validation curve each) and at
    last `end` with the finished job, after which the stream closes. A connection that was lost goes on from
    `Last-Event-ID`.
    """
    await asyncio.to_thread(parts.orders.record, caller.tenant, id)
    if last_event_id == ENDED:
        return Response(status_code=204)
    seen = int(last_event_id) if last_event_id and last_event_id.isdecimal() else 0
    stream = events(parts.orders.watch(caller.tenant, id), seen)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


@router.delete("/{id}", status_code=202, response_model=JobView, responses=only(404, 503))
async def cancel_job(id: str, caller: CanAdapt, parts: PartsDep, response: Response) -> dict[str, Any]:
    """Cancel what is queued or running; what has ended stays as it is."""
    await asyncio.to_thread(parts.orders.cancel, caller.tenant, id)
    return job_view(await parts.orders.wait(caller.tenant, id, 0))

"""/jobs: how far an order is."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from app.access import CanAdapt, CanRead
from app.deps import PartsDep
from app.openapi import only
from app.schemas import JobView
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
    return job_view(await parts.orders.wait(caller.tenant, id, wait))


@router.delete("/{id}", status_code=202, response_model=JobView, responses=only(404, 503))
async def cancel_job(id: str, caller: CanAdapt, parts: PartsDep, response: Response) -> dict[str, Any]:
    """Cancel what is queued or running; what has ended stays as it is."""
    await asyncio.to_thread(parts.orders.cancel, caller.tenant, id)
    return job_view(await parts.orders.wait(caller.tenant, id, 0))

"""POST /meta-train: a dataset and a learner become a base model."""

import asyncio
from functools import partial
from typing import Any

from fastapi import APIRouter, Response
from pydantic import ConfigDict

from app.access import CanTrain
from app.deps import PartsDep
from app.openapi import only
from app.schemas import JobView
from app.views import job_view
from meta_core.ids import new_id
from meta_core.orders import Order, now
from meta_core.recipe import Recipe

router = APIRouter(tags=["base models"])


class MetaTrainBody(Recipe):
    """A recipe for a base model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "waves",
                    "dataset": "sinusoids",
                    "learner": "cnp",
                    "backbone": "identity",
                    "training": {"steps": 2000, "tasks": 16, "shots": 10, "queries": 10},
                }
            ]
        }
    )


@router.post("/meta-train", status_code=202, response_model=JobView, responses=only(404, 413, 422, 503))
async def meta_train(body: MetaTrainBody, caller: CanTrain, parts: PartsDep, response: Response) -> dict[str, Any]:
    """Meta-train a new version of a base model: a job, watched by GET /jobs/{id} and cancelled by DELETE.

    The dataset is one of the service by name, or one of `POST /datasets` by id. A name that exists gets its next
    version, which is its default unless another was chosen by `PATCH /bases/{name}`.
    """
    resolved = await asyncio.to_thread(body.resolved, parts.store, caller.tenant)
    bases = partial(parts.engine.catalogue.get, tenant=caller.tenant)
    recipe = (await asyncio.to_thread(resolved.settled, bases)).model_dump(mode="json")
    order = Order(id=new_id("job"), tenant=caller.tenant, kind="meta-train", spec=recipe, created_at=now())
    await asyncio.to_thread(parts.orders.submit, order)
    response.headers["Location"] = f"/jobs/{order.id}"
    return job_view(await parts.orders.wait(caller.tenant, order.id, 0))

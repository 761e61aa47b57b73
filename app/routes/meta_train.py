"""POST /meta-train: a dataset and a learner become a base model."""

import asyncio
from functools import partial
from typing import Any

from fastapi import APIRouter, Response
from pydantic import ConfigDict

from app.access import CanTrain
from app.deps import Parts, PartsDep
from app.idempotency import IdempotencyKey, Once
from app.openapi import only
from app.schemas.jobs import JobView
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
async def meta_train(
    body: MetaTrainBody,
    caller: CanTrain,
    parts: PartsDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Meta-train a new version of a base model: a job, watched by GET /jobs/{id} and cancelled by DELETE.

    The dataset is one of the service by name, or one of `POST /datasets` by id. A name that exists gets its next
    version, which is its default unless another was chosen by `PATCH /bases/{name}`.
    """
    id = await asyncio.to_thread(_accepted, parts, caller.tenant, body, idempotency_key)
    response.headers["Location"] = f"/jobs/{id}"
    return job_view(await parts.orders.wait(caller.tenant, id, 0))


def _accepted(parts: Parts, tenant: str, body: MetaTrainBody, key: str | None) -> str:
    """The id of the order that a request makes, or made when it was sent before."""
    once = Once(parts.store, tenant, key, body) if key else None
    if once and (known := once.known()) and parts.orders.exists(tenant, known):
        return known
    bases = partial(parts.engine.catalogue.get, tenant=tenant)
    recipe = body.resolved(parts.store, tenant).settled(bases)
    id = once.claim(new_id("job")) if once else new_id("job")
    spec = recipe.model_dump(mode="json")
    parts.orders.submit(Order(id=id, tenant=tenant, kind="meta-train", spec=spec, created_at=now()))
    return id

"""POST /evaluate: how good a base model or an adapted model is."""

import asyncio
from typing import Any

from fastapi import APIRouter, Response

from app.access import CanPredict
from app.bodies import plain_inputs
from app.caller import Caller
from app.deps import Parts, PartsDep
from app.openapi import only
from app.schemas.evaluating import EvaluateBody, Evaluated
from app.views import job_view
from meta_core.assessment import EvaluationSpec, grade_queries
from meta_core.errors import InvalidRequest
from meta_core.ids import new_id
from meta_core.orders import Order, now
from meta_core.recipe import by_reference

router = APIRouter(tags=["evaluate"])


@router.post(
    "/evaluate",
    response_model=Evaluated,
    response_model_exclude_unset=True,
    responses={202: {"model": Evaluated, "description": "A job was accepted"}, **only(404, 409, 410, 413, 422, 503)},
)
async def evaluate(body: EvaluateBody, caller: CanPredict, parts: PartsDep, response: Response) -> dict[str, Any]:
    """Grade an adapted model on labelled queries at once (200), or anything on a dataset as a job (202).

    Classification is told by accuracy ± 95 % interval, NLL, ECE, reliability, confusion matrix, the most confused pairs
    and the worst classes; regression by RMSE, R², NLL and the coverage of its 90 % intervals. A base model adapts to
    `tasks` draws of the dataset's `split`; an adapted model answers every example whose class it knows.
    """
    if body.dataset is None:
        return await asyncio.to_thread(_graded, parts, caller, body)
    order = await asyncio.to_thread(_accept, parts, caller, body)
    response.status_code = 202
    response.headers["Location"] = f"/jobs/{order.id}"
    return job_view(await parts.orders.wait(caller.tenant, order.id, 0))


def _graded(parts: Parts, caller: Caller, body: EvaluateBody) -> dict[str, Any]:
    if body.model is None or body.inputs is None or body.labels is None:
        raise InvalidRequest("send `model` with `inputs` and `labels`, or a `dataset` with `model` or `base`")
    model = parts.cache.get(caller.tenant, body.model)
    return {"scores": grade_queries(parts.engine, model, plain_inputs(body.inputs), body.labels)}


def _accept(parts: Parts, caller: Caller, body: EvaluateBody) -> Order:
    if (body.model is None) == (body.base is None) or body.inputs is not None or body.labels is not None:
        raise InvalidRequest("a dataset is for one of `model` and `base`, without `inputs` and `labels`")
    reference = body.base or parts.cache.get(caller.tenant, str(body.model)).base
    base = parts.engine.catalogue.get(reference, caller.tenant)
    asked = by_reference(body.model_dump(exclude={"inputs", "labels"}))
    spec = EvaluationSpec.parse({**asked, "base": body.base and base.reference}, "evaluation")
    spec = spec.resolved(parts.store, caller.tenant, base)
    order = Order(
        id=new_id("job"), tenant=caller.tenant, kind="evaluate", spec=spec.model_dump(mode="json"), created_at=now()
    )
    parts.orders.submit(order)
    return order

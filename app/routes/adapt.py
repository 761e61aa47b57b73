"""POST /adapt: a support set becomes an adapted model."""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel

from app.accepting import leave_place
from app.access import CanAdapt
from app.bodies import adapt_body, plain_inputs
from app.dedupe import claim_content
from app.deps import Parts, PartsDep
from app.idempotency import IdempotencyKey, Once
from app.openapi import PROBLEMS, body_of, links_to
from app.schemas.adapting import AdaptBody
from app.schemas.models import ModelView
from app.views import model_view
from meta_core.engine import TaskRequest
from meta_core.expiry import expires_at
from meta_core.ids import new_id
from meta_core.orders import Order, now, require_ready

MADE = links_to(
    model="GET /models/{id}", delete="DELETE /models/{id}", job="GET /jobs/{id}", cancel="DELETE /jobs/{id}"
)
PREDICT = {
    "operationRef": "#/paths/~1predict/post",
    "requestBody": {"model": "$response.body#/id", "inputs": "$request.body#/support/inputs"},
}

router = APIRouter(tags=["adapt and predict"])

Prefer = Annotated[str | None, Header(description="`wait=SECONDS`: how long to wait for the model")]

FORM = {
    "type": "object",
    "required": ["base"],
    "properties": {
        "base": {"type": "string"},
        "learner": {"type": "string"},
        "params": {"type": "string", "description": "JSON"},
        "name": {"type": "string"},
        "metadata": {"type": "string", "description": "JSON"},
        "unlabelled": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "description": "files without a label; a class of this name can be sent as JSON only",
        },
    },
    "additionalProperties": {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "description": "files; the field's name is their label",
    },
}


@router.post(
    "/adapt",
    status_code=201,
    response_model=ModelView,
    responses={
        201: {"links": {**MADE, "predict": PREDICT}},
        202: {"model": ModelView, "description": "Accepted; not finished within the wait", "links": MADE},
        **PROBLEMS,
    },
    openapi_extra=body_of(AdaptBody, FORM),
)
async def adapt(
    *,
    caller: CanAdapt,
    body: Annotated[AdaptBody, Depends(adapt_body)],
    parts: PartsDep,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> dict[str, Any]:
    """Learn from labelled examples: 201 with the adapted model, or 202 if it takes longer than the wait.

    Everything is checked before anything is accepted; once it is, it is not lost.
    """
    check = partial(_checked, parts, caller.tenant, body)
    id = await asyncio.to_thread(
        accepted, parts, caller.tenant, body, idempotency_key, check, response=response, dedupe=body.dedupe
    )
    leave_place(request)
    return await awaited_model(parts, caller.tenant, id, prefer=prefer, response=response)


async def awaited_model(
    parts: Parts, tenant: str, id: str, *, prefer: str | None, response: Response
) -> dict[str, Any]:
    """The adapted model of an order, or the order for it where that takes longer than the wait."""
    seconds = preferred_wait(prefer, parts.wait_seconds)
    record = await parts.orders.wait(tenant, id, seconds)
    if record["status"] in ("queued", "running"):
        response.status_code = 202
        response.headers["Location"] = f"/jobs/{id}"
        response.headers["Retry-After"] = "1"
    else:
        require_ready(record["status"], record, id)
    if seconds != parts.wait_seconds:
        response.headers["Preference-Applied"] = f"wait={seconds:g}"
    return model_view(record)


def accepted(
    parts: Parts,
    tenant: str,
    body: BaseModel,
    key: str | None,
    check: Callable[[], tuple[dict[str, Any], bytes]],
    *,
    response: Response,
    dedupe: bool = False,
) -> str:
    """The id of the order that a request makes, or made when it was sent before.

    `check` gives the record and the support set of the model that is asked for, or raises what is wrong. With `dedupe`
    it may be the id of an older model of the same content. The response is told what is left of the tenant's quota.
    """
    once = Once(parts.store, tenant, key, body) if key else None
    if once and (known := once.known()) and parts.orders.exists(tenant, known):
        return known
    parts.orders.check_room(tenant)
    quota = parts.quotas.of(tenant)
    response.headers.update(parts.rates.count(tenant, quota.adapts_per_minute))
    record, support = check()
    id = claim_content(parts.store, tenant, record, support, new_id("mdl")) if dedupe else new_id("mdl")
    id = once.claim(id) if once else id
    if dedupe and parts.orders.exists(tenant, id):
        return id
    parts.quotas.take(tenant, 1, len(support), quota)
    order = Order(id=id, tenant=tenant, kind="adapt", spec={"record": record}, created_at=now())
    parts.orders.submit(order, support)
    return id


def _checked(parts: Parts, tenant: str, body: AdaptBody) -> tuple[dict[str, Any], bytes]:
    request = TaskRequest(
        base=body.base,
        tenant=tenant,
        inputs=plain_inputs(body.support.inputs),
        labels=body.support.labels,
        unlabelled=plain_inputs(body.support.unlabelled),
        learner=body.learner,
        params=body.params,
        task=body.task,
    )
    record, support = parts.engine.accept(request)
    record |= {"name": body.name, "metadata": body.metadata, "keep_support": body.keep_support}
    if body.ttl_seconds is not None:
        record["expires_at"] = expires_at(body.ttl_seconds)
    return record, support


def preferred_wait(prefer: str | None, default: float) -> float:
    """Seconds of a `Prefer: wait=…` header (RFC 7240), at most a minute; `respond-async` alone waits for nothing."""
    found = re.search(r"\bwait\s*=\s*\"?(\d{1,4}(?:\.\d{1,3})?)", prefer or "")
    if found:
        return min(float(found[1]), 60.0)
    return 0.0 if "respond-async" in (prefer or "") else default

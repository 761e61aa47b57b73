"""/models/{id}/examples and /versions: a model that is improved example by example."""

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from app.accepting import leave_place
from app.access import CanAdapt, CanPredict, CanRead
from app.bodies import examples_body, plain_inputs
from app.deps import Parts, PartsDep
from app.idempotency import IdempotencyKey
from app.openapi import PROBLEMS, body_of, only
from app.routes.adapt import Prefer, accepted, awaited_model
from app.routes.models import existing
from app.schemas.adapting import ExamplesBody
from app.schemas.models import ModelView, Versions
from app.schemas.suggesting import SuggestBody, Suggestions
from app.views import versions_view
from meta_core.errors import NotFound, Unusable
from meta_core.incremental import Source, load_source, next_labels, with_examples, without_example
from meta_core.orders import require_ready, versions_of

router = APIRouter(prefix="/models", tags=["adapted models"])

LATER: dict[int | str, dict[str, Any]] = {
    202: {"model": ModelView, "description": "Accepted; not finished within the wait"}
}
FORM = {
    "type": "object",
    "properties": {"learner": {"type": "string"}},
    "additionalProperties": {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "description": "files; the field's name is their label",
    },
}


class Added(BaseModel):
    """Examples and the model that they are added to."""

    model: str
    examples: ExamplesBody


class Removed(BaseModel):
    """An example and the model that it is removed from."""

    model: str
    example: int


@router.post(
    "/{id}/examples",
    status_code=201,
    response_model=ModelView,
    responses={**LATER, **PROBLEMS},
    openapi_extra=body_of(ExamplesBody, FORM),
)
async def add_examples(
    id: str,
    *,
    caller: CanAdapt,
    body: Annotated[ExamplesBody, Depends(examples_body)],
    parts: PartsDep,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> dict[str, Any]:
    """Learn more examples, of new classes too: the next version of a model, under an id of its own.

    The model before stays as it is. The next is what adapting to all examples together would have made; those that
    were there are not encoded again, unless the learner changes the body. 409 where the support set was not kept.
    """
    added = Added(model=id, examples=body)
    check = partial(_with, parts, caller.tenant, id, body)
    made = await asyncio.to_thread(accepted, parts, caller.tenant, added, idempotency_key, check, response=response)
    leave_place(request)
    return await awaited_model(parts, caller.tenant, made, prefer=prefer, response=response)


@router.delete(
    "/{id}/examples/{n}",
    status_code=201,
    response_model=ModelView,
    responses={**LATER, **only(404, 409, 410, 422, 429, 503)},
)
async def remove_example(
    id: str,
    n: int,
    *,
    caller: CanAdapt,
    parts: PartsDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> dict[str, Any]:
    """Forget example `n`, counted from 0 in the order they were sent: the next version, which never saw it.

    The model before, with the example, stays until it is deleted.
    """
    removed = Removed(model=id, example=n)
    check = partial(_without, parts, caller.tenant, id, n)
    made = await asyncio.to_thread(accepted, parts, caller.tenant, removed, idempotency_key, check, response=response)
    return await awaited_model(parts, caller.tenant, made, prefer=prefer, response=response)


@router.post("/{id}/suggest", response_model=Suggestions, responses=only(404, 409, 410, 413, 422, 503))
def suggest(id: str, body: SuggestBody, caller: CanPredict, parts: PartsDep) -> dict[str, Any]:
    """Which of these inputs to label next: those whose labels are expected to teach the model most, best first.

    Each is weighed given the support set and those before it, so that they do not repeat each other. `method` is
    `variance reduction` (of regression by `gp` and `ridge` exact, else by a kernel on the embeddings; of classes
    weighted by how open the answers are), or `margin` where the learner changes the body or the support set was not
    kept.
    """
    model = parts.cache.get(caller.tenant, id)
    try:
        source = load_source(parts.store, caller.tenant, id)
    except Unusable:  # it was not kept; what the model answers is all there is to go by
        source = None
    found = next_labels(parts.engine, model, source, plain_inputs(body.inputs), body.count)
    pairs = zip(found.positions, found.scores, strict=True)
    return {"model": id, "method": found.method, "suggestions": [{"index": i, "score": s} for i, s in pairs]}


@router.get("/{id}/versions", response_model=Versions, responses=only(404, 410, 503))
def list_versions(id: str, caller: CanRead, parts: PartsDep) -> dict[str, Any]:
    """All versions of a model, whichever of them is asked: what each was made from, and what was made from it."""
    first = existing(parts, caller.tenant, id).get("lineage", id)
    records = []
    for version in versions_of(parts.store, caller.tenant, first):
        try:
            records.append(parts.orders.record(caller.tenant, version))
        except NotFound:  # the process ended before it had accepted the order
            continue
    return {"lineage": first, "data": versions_view(records)}


def _with(parts: Parts, tenant: str, id: str, body: ExamplesBody) -> tuple[dict[str, Any], bytes]:
    return with_examples(parts.engine, _source(parts, tenant, id), plain_inputs(body.inputs), body.labels, body.learner)


def _without(parts: Parts, tenant: str, id: str, n: int) -> tuple[dict[str, Any], bytes]:
    return without_example(parts.engine, _source(parts, tenant, id), n)


def _source(parts: Parts, tenant: str, id: str) -> Source:
    record = existing(parts, tenant, id)
    require_ready(record["status"], record, id)
    return load_source(parts.store, tenant, id)

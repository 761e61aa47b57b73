"""/models: what has been adapted."""

import asyncio
import itertools
import logging
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from app.access import CanAdapt, CanRead
from app.deps import Parts, PartsDep
from app.openapi import PROBLEMS, only
from app.routes.adapt import Prefer, awaited_model
from app.schemas.models import ModelList, ModelView, ReadaptModelBody
from app.views import model_view
from meta_core.aliases import aliases_of
from meta_core.errors import CorruptArtifact, Gone, InUse, NotFound
from meta_core.ids import checked_id, new_id
from meta_core.orders import Order, delete_result, now, open_orders_of, require_ready, results_of
from meta_core.readapt import plan

log = logging.getLogger("shotput.api")
router = APIRouter(prefix="/models", tags=["adapted models"])


@router.get("", response_model=ModelList, responses=only(422, 503))
def list_models(
    caller: CanRead,
    parts: PartsDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    cursor: Annotated[str | None, Query(pattern="^mdl_[0-9a-f]{32}$", description="`next_cursor` of a page")] = None,
) -> dict[str, Any]:
    """Adapted models and those being made, newest first."""
    page = list(itertools.islice(_newest_first(parts, caller.tenant, cursor), limit + 1))
    more = len(page) > limit
    data = [model_view(record) for record in page[:limit]]
    return {"data": data, "has_more": more, "next_cursor": data[-1]["id"] if more else None}


@router.get("/{id}", response_model=ModelView, responses=only(404, 410, 503))
def get_model(id: str, caller: CanRead, parts: PartsDep) -> dict[str, Any]:
    """One adapted model, with its status while it is queued and the error when it failed."""
    return model_view(existing(parts, caller.tenant, id))


@router.delete("/{id}", status_code=204, responses=only(404, 409, 410, 503))
async def delete_model(id: str, caller: CanAdapt, parts: PartsDep) -> Response:
    """Delete an adapted model, its support set, and its order if it is still queued.

    409 while an alias stands for it.
    """
    await asyncio.to_thread(_delete, parts, caller.tenant, id)
    return Response(status_code=204)


@router.post(
    "/{id}/readapt",
    status_code=201,
    response_model=ModelView,
    responses={202: {"model": ModelView, "description": "Accepted; not finished within the wait"}, **PROBLEMS},
)
async def readapt_model(
    id: str,
    caller: CanAdapt,
    parts: PartsDep,
    response: Response,
    body: ReadaptModelBody | None = None,
    *,
    prefer: Prefer = None,
) -> dict[str, Any]:
    """Adapt again to the support set of a model, on another version of its base model: a new adapted model.

    The old one stays as it is. 422 when the two versions read their inputs differently, so that the support set as it
    is kept cannot serve; 409 while the model is not ready.
    """
    order = await asyncio.to_thread(_readapt, parts, caller.tenant, id, body.base if body else None, response)
    return await awaited_model(parts, order.tenant, order.id, prefer=prefer, response=response)


def _readapt(parts: Parts, tenant: str, id: str, base: str | None, response: Response) -> Order:
    quota = parts.quotas.of(tenant)
    response.headers.update(parts.rates.count(tenant, quota.adapts_per_minute))
    record = existing(parts, tenant, id)
    require_ready(record["status"], record, id)
    wanted = Order(id=new_id("mdl"), tenant=tenant, kind="adapt", spec={}, created_at=now())
    order, support = plan(parts.engine, parts.store, wanted, record, base or record["base"].partition("@")[0])
    parts.quotas.take(tenant, 1, len(support), quota)
    parts.orders.submit(order, support)
    return order


def existing(parts: Parts, tenant: str, id: str) -> dict[str, Any]:
    """The record of a model, finished or not. Raises `NotFound` or `Gone`."""
    if not checked_id(id).startswith("mdl_"):
        raise NotFound(f"there is no model {id}")
    record = parts.orders.record(tenant, id)
    if record["status"] == "deleted":
        raise Gone(f"{id} was deleted at {record['deleted_at']}")
    return record


def _delete(parts: Parts, tenant: str, id: str) -> None:
    try:
        existing(parts, tenant, id)
    except CorruptArtifact as error:
        log.warning("%s is deleted though it cannot be read: %s", id, error)
    if names := [alias.name for alias in aliases_of(parts.store, tenant) if id in alias.models]:
        raise InUse(f"alias {', '.join(names)} stands for {id}; give it another model, or delete it, first")
    delete_result(parts.store, tenant, id, now())
    parts.quotas.freed(tenant, models=1)
    parts.cache.evict(id)
    parts.orders.announce(id)


def _newest_first(parts: Parts, tenant: str, cursor: str | None) -> Iterator[dict[str, Any]]:
    ids = {*results_of(parts.store, tenant, "mdl"), *open_orders_of(parts.store, tenant, "mdl")}
    for id in sorted(ids, reverse=True):
        if cursor is None or id < cursor:
            try:
                record = parts.orders.record(tenant, id)
            except (NotFound, CorruptArtifact) as error:  # deleted just now, or damaged: the others are still listed
                log.warning("%s is not listed: %s", id, error)
                continue
            if record["status"] != "deleted":
                yield record

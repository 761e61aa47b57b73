"""/aliases: names that stay while models move."""

import asyncio
from typing import Any

from fastapi import APIRouter, Response

from app.access import CanAdapt, CanRead
from app.deps import Parts, PartsDep
from app.openapi import only
from app.routes.models import existing
from app.schemas.aliases import AliasBody, AliasView
from app.views import alias_view
from meta_core.aliases import Alias, aliases_of
from meta_core.errors import InvalidRequest
from meta_core.ids import checked_alias
from meta_core.orders import now, require_ready

router = APIRouter(prefix="/aliases", tags=["aliases"])


@router.put("/{name}", response_model=AliasView, responses=only(404, 409, 410, 422, 503))
async def put_alias(name: str, body: AliasBody, caller: CanAdapt, parts: PartsDep) -> dict[str, Any]:
    """Make a name stand for a model, or for several that share its questions by weight (an A/B test).

    Every process goes by it at once. The models must be ready, and answer the same kind of question.
    """
    return alias_view(await asyncio.to_thread(_put, parts, caller.tenant, name, body))


@router.get("", response_model=list[AliasView], responses=only(503))
def list_aliases(caller: CanRead, parts: PartsDep) -> list[dict[str, Any]]:
    """All aliases, by name."""
    return [alias_view(alias) for alias in aliases_of(parts.store, caller.tenant)]


@router.get("/{name}", response_model=AliasView, responses=only(404, 503))
def get_alias(name: str, caller: CanRead, parts: PartsDep) -> dict[str, Any]:
    """What a name stands for."""
    return alias_view(parts.aliases.get(caller.tenant, name))


@router.delete("/{name}", status_code=204, responses=only(404, 503))
async def delete_alias(name: str, caller: CanAdapt, parts: PartsDep) -> Response:
    """Forget a name; its models stay."""
    await asyncio.to_thread(parts.aliases.delete, caller.tenant, checked_alias(name))
    return Response(status_code=204)


def _put(parts: Parts, tenant: str, name: str, body: AliasBody) -> Alias:
    alias = Alias(name=checked_alias(name), models=body.weights(), updated_at=now())
    kinds: dict[tuple[str, str], str] = {}
    for id in alias.models:
        record = existing(parts, tenant, id)
        require_ready(record["status"], record, id)
        kinds.setdefault((record["modality"], record["task"]), id)
    if len(kinds) > 1:
        found = " and ".join(f"{task} of {modality} ({id})" for (modality, task), id in kinds.items())
        raise InvalidRequest(f"models that share an alias answer the same kind of question; found {found}")
    parts.aliases.put(tenant, alias)
    return alias

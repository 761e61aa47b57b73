"""/bases: the base models there are."""

from typing import Any

from fastapi import APIRouter

from app.access import CanRead
from app.deps import PartsDep
from app.openapi import only
from app.schemas import BaseView
from app.views import base_view

router = APIRouter(prefix="/bases", tags=["base models"])


@router.get("", response_model=list[BaseView], responses=only(503))
def list_bases(_: CanRead, parts: PartsDep) -> list[dict[str, Any]]:
    """The newest version of every base model, and what it is for."""
    catalogue = parts.engine.catalogue
    return [base_view(base, catalogue.versions(base.name)) for base in catalogue.list()]


@router.get("/{name}", response_model=BaseView, responses=only(404, 503))
def get_base(name: str, _: CanRead, parts: PartsDep) -> dict[str, Any]:
    """One base model, `name` for the newest version or `name@version`."""
    catalogue = parts.engine.catalogue
    base = catalogue.get(name)
    return base_view(base, catalogue.versions(base.name))

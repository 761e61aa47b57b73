"""/bases: the base models there are."""

from typing import Any

from fastapi import APIRouter

from app.access import CanRead, CanTrain
from app.deps import PartsDep
from app.openapi import only
from app.schemas import BaseDetails, BasePatch, BaseView
from app.views import base_view, version_view
from meta_core.catalogue import Catalogue
from meta_core.ids import checked_name

router = APIRouter(prefix="/bases", tags=["base models"])


@router.get("", response_model=list[BaseView], responses=only(503))
def list_bases(_: CanRead, parts: PartsDep) -> list[dict[str, Any]]:
    """The default version of every base model, and what it is for."""
    catalogue = parts.engine.catalogue
    return [base_view(base, catalogue.versions(base.name), catalogue.default(base.name)) for base in catalogue.list()]


@router.get("/{name}", response_model=BaseDetails, responses=only(404, 503))
def get_base(name: str, _: CanRead, parts: PartsDep) -> dict[str, Any]:
    """One base model, `name` for the default version or `name@version`, and how each of its versions was made."""
    return _details(parts.engine.catalogue, name)


@router.patch("/{name}", response_model=BaseDetails, responses=only(404, 422, 503))
def change_base(name: str, body: BasePatch, _: CanTrain, parts: PartsDep) -> dict[str, Any]:
    """Promote a version to the default, or roll back to an older one: what the bare name means from now on.

    Every process goes by it at once. Adapted models keep the version they were made on.
    """
    catalogue = parts.engine.catalogue
    catalogue.choose_default(checked_name(name), body.default)
    return _details(catalogue, name)


def _details(catalogue: Catalogue, reference: str) -> dict[str, Any]:
    base = catalogue.get(reference)
    versions, default = catalogue.versions(base.name), catalogue.default(base.name)
    history = [version_view(catalogue.get(f"{base.name}@{version}"), default) for version in versions]
    return {**base_view(base, versions, default), "history": history}

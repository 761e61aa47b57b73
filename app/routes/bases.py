"""/bases: the base models there are."""

import asyncio
from typing import Any

from fastapi import APIRouter, Response
from pydantic import ConfigDict

from app.access import CanRead, CanTrain
from app.deps import Parts, PartsDep
from app.openapi import only
from app.schemas.bases import BaseDetails, BasePatch, BaseView, ReadaptBaseBody
from app.schemas.jobs import JobView
from app.views import base_view, job_view, version_view
from meta_core.base import Base
from meta_core.catalogue import Catalogue
from meta_core.compose import Composition, compose
from meta_core.ids import checked_name, new_id
from meta_core.orders import Order, now

router = APIRouter(prefix="/bases", tags=["base models"])


class CompositionBody(Composition):
    """A base model of a body that is pretrained."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "photos",
                    "summary": "Photographs: VGG16 trained on ImageNet, and a hidden layer for each task.",
                    "backbone": "timm/vgg16",
                    "backbone_params": {"revision": "0123456789abcdef0123456789abcdef01234567"},
                    "learner": "finetune",
                    "params": {"head": "mlp", "hidden": 1024},
                }
            ]
        }
    )


@router.post("", status_code=201, response_model=BaseDetails, responses=only(404, 422, 502, 503))
def compose_base(body: CompositionBody, caller: CanTrain, parts: PartsDep, response: Response) -> dict[str, Any]:
    """Put a pretrained body, from a library by name, and a learner together to a new version of a base model.

    Nothing is trained. The body's weights are loaded, and fetched if need be, before this answers; the base model only
    refers to them, so every process of the service must find them.
    """
    catalogue = parts.engine.catalogue
    base = catalogue.publish(compose(body), new_id("job"), caller.tenant)
    response.headers["Location"] = f"/bases/{base.reference}"
    return _details(catalogue, base.reference, caller.tenant)


@router.get("", response_model=list[BaseView], responses=only(503))
def list_bases(caller: CanRead, parts: PartsDep) -> list[dict[str, Any]]:
    """The default version of every base model, and what it is for."""
    catalogue = parts.engine.catalogue
    return [_view(catalogue, base, caller.tenant) for base in catalogue.list(caller.tenant)]


@router.get("/{name}", response_model=BaseDetails, responses=only(404, 503))
def get_base(name: str, caller: CanRead, parts: PartsDep) -> dict[str, Any]:
    """One base model, `name` for the default version or `name@version`, and how each of its versions was made."""
    return _details(parts.engine.catalogue, name, caller.tenant)


@router.patch("/{name}", response_model=BaseDetails, responses=only(404, 422, 503))
def change_base(name: str, body: BasePatch, caller: CanTrain, parts: PartsDep) -> dict[str, Any]:
    """Promote a version to the default, or roll back to an older one: what the bare name means from now on.

    Every process goes by it at once. Adapted models keep the version they were made on.
    """
    catalogue = parts.engine.catalogue
    catalogue.choose_default(checked_name(name), body.default, caller.tenant)
    return _details(catalogue, name, caller.tenant)


@router.post("/{name}/readapt", status_code=202, response_model=JobView, responses=only(404, 422, 503))
async def readapt_base(
    name: str, caller: CanTrain, parts: PartsDep, response: Response, body: ReadaptBaseBody | None = None
) -> dict[str, Any]:
    """Move all adapted models of a base model to its default version or another: a job, with progress.

    Each is adapted again from its support set as a new model (`readapted_from` names the old one, which stays). The
    finished job tells of every model the leave-one-out accuracy (R² of a regression) before and after, the means, and
    the models that could not be moved and why.
    """
    order = await asyncio.to_thread(_readapt, parts, caller.tenant, name, body.version if body else None)
    response.headers["Location"] = f"/jobs/{order.id}"
    return job_view(await parts.orders.wait(caller.tenant, order.id, 0))


def _readapt(parts: Parts, tenant: str, name: str, version: int | None) -> Order:
    reference = checked_name(name) if version is None else f"{checked_name(name)}@{version}"
    spec = {"to": parts.engine.catalogue.get(reference, tenant).reference}
    order = Order(id=new_id("job"), tenant=tenant, kind="readapt", spec=spec, created_at=now())
    parts.quotas.take(tenant, 1, 0)  # how many models it makes is only known once it has been carried out
    parts.orders.submit(order)
    return order


def _details(catalogue: Catalogue, reference: str, tenant: str) -> dict[str, Any]:
    base = catalogue.get(reference, tenant)
    view = _view(catalogue, base, tenant)
    versions = (catalogue.get(f"{base.name}@{version}", tenant) for version in view["versions"])
    return {**view, "history": [version_view(version, view["default"]) for version in versions]}


def _view(catalogue: Catalogue, base: Base, tenant: str) -> dict[str, Any]:
    return base_view(base, catalogue.versions(base.name, tenant), catalogue.default(base.name, tenant))

"""/datasets: labelled examples for meta-training and evaluation."""

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from app.access import CanRead, CanTrain
from app.bodies import validated
from app.caller import Caller
from app.deps import Parts, PartsDep
from app.openapi import only
from app.receive import received
from app.schemas.datasets import DatasetList, DatasetOptions, DatasetView
from app.views import dataset_view
from meta_core import uploads
from meta_core.format import Reading

router = APIRouter(prefix="/datasets", tags=["datasets"])

FILE = {"type": "string", "format": "binary"}
BODY = {
    "requestBody": {
        "required": True,
        "description": "the file as it is, or as the field `file` of a form, whose other fields are then the options",
        "content": {
            kind: {"schema": FILE}
            for kind in (
                "application/zip",
                "text/csv",
                "application/vnd.apache.parquet",
                "application/jsonl",
                "application/octet-stream",
            )
        }
        | {"multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": {"file": FILE}}}},
    }
}


@router.post(
    "",
    status_code=201,
    response_model=DatasetView,
    responses={200: {"model": DatasetView, "description": "It was there already"}, **only(404, 413, 422, 503)},
    openapi_extra=BODY,
)
async def add_dataset(
    *,
    request: Request,
    response: Response,
    caller: CanTrain,
    parts: PartsDep,
    options: Annotated[DatasetOptions, Depends()],
    idempotency_key: Annotated[
        str | None, Header(max_length=200, description="your own name for this upload, to repeat it safely")
    ] = None,
) -> dict[str, Any]:
    """Upload labelled examples: a file that is streamed, checked completely, and kept whole or not at all.

    * **zip** of class folders: images (PNG, JPEG, …), recordings (WAV, FLAC, …), series (`.npy`, `.csv`) or texts
      (`.txt`); a file's folder is its class.
    * **CSV** or **Parquet**: a table, whose column `target` (or the last) is the label.
    * **JSONL**: `{"text": …, "label": …}` a line, or `{"input": …, "label": …}` with an input of any modality.
    * **npz**: arrays `x` and `y`; `[N, D]` are vectors, `[N, H, W]` and `[N, H, W, 3]` images.

    With `modality=series`, npz is `[N, steps]` or `[N, channels, steps]`, NaN where a value is missing and behind the
    end of shorter ones; an input of JSONL the same as in `/adapt`, of any length; a row of CSV the steps of one series.

    Fractions as labels make a regression dataset. What cannot be read is named in the 422, twenty places at most.
    The same file again is the same dataset (200): an upload that broke off is simply repeated.
    """
    async with received(request) as (path, fields):
        wanted = validated(DatasetOptions, {**options.model_dump(), **fields})
        card, new = await asyncio.to_thread(_add, parts, caller, path, wanted, idempotency_key)
    if not new:
        response.status_code = 200
    response.headers["Location"] = f"/datasets/{card['id']}"
    return dataset_view(card)


@router.get("", response_model=DatasetList, responses=only(422, 503))
def list_datasets(
    caller: CanRead,
    parts: PartsDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    cursor: Annotated[str | None, Query(pattern="^dst_[0-9a-f]{32}$", description="`next_cursor` of a page")] = None,
) -> dict[str, Any]:
    """Datasets, newest first."""
    cards = uploads.cards(parts.store, caller.tenant)
    start = next((i + 1 for i, card in enumerate(cards) if card["id"] == cursor), 0)
    page, more = cards[start : start + limit], len(cards) > start + limit
    return {
        "data": [dataset_view(card) for card in page],
        "has_more": more,
        "next_cursor": page[-1]["id"] if more else None,
    }


@router.get("/{id}", response_model=DatasetView, responses=only(404, 503))
def get_dataset(id: str, caller: CanRead, parts: PartsDep) -> dict[str, Any]:
    """One dataset: its classes and how many examples each has, modality, task and size."""
    return dataset_view(uploads.load_card(parts.store, caller.tenant, id))


@router.delete("/{id}", status_code=204, responses=only(404, 503))
def delete_dataset(id: str, caller: CanTrain, parts: PartsDep) -> Response:
    """Delete a dataset. Base models that were trained on it stay; jobs that have not read it yet fail."""
    uploads.remove(parts.store, caller.tenant, id)
    parts.quotas.freed(caller.tenant, models=0)
    return Response(status_code=204)


def _add(
    parts: Parts, caller: Caller, path: Any, wanted: DatasetOptions, key: str | None
) -> tuple[dict[str, Any], bool]:
    return uploads.add(
        parts.store,
        caller.tenant,
        path,
        name=wanted.name,
        format=wanted.format,
        reading=Reading(modality=wanted.modality, target=wanted.target),
        task=wanted.task,
        limits=parts.engine.limits,
        key=key,
        admit=partial(parts.quotas.take, caller.tenant, 0),
    )

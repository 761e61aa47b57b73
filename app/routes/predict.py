"""POST /predict: an adapted model answers."""

import asyncio
import secrets
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends
from fastapi.responses import Response

from app.access import CanPredict
from app.batching import Question
from app.bodies import predict_body
from app.deps import Parts, PartsDep
from app.openapi import PROBLEMS, body_of
from app.schemas.predicting import PredictBody, Predictions
from meta_core.errors import Gone
from meta_core.ids import is_id

router = APIRouter(tags=["adapt and predict"])

FORM = {
    "type": "object",
    "required": ["model"],
    "properties": {
        "model": {"type": "string"},
        "coverage": {"type": "number"},
        "reject": {"type": "number"},
        "key": {"type": "string"},
        "explain": {"type": "boolean"},
    },
    "additionalProperties": {"type": "array", "items": {"type": "string", "format": "binary"}},
}


@router.post("/predict", response_model=Predictions, responses=PROBLEMS, openapi_extra=body_of(PredictBody, FORM))
async def predict(caller: CanPredict, body: Annotated[PredictBody, Depends(predict_body)], parts: PartsDep) -> Response:
    """Ask an adapted model: class probabilities, or mean and 90 % interval, for each input."""
    return await answered(parts, caller.tenant, body)


async def answered(parts: Parts, tenant: str, body: PredictBody) -> Response:
    """The answer to a question of a tenant."""
    reference = body.model
    model, alias = (reference, None) if is_id(reference) else (await _picked(parts, tenant, body), reference)
    try:
        question = Question(tenant, model, body.inputs, body.coverage, body.reject, body.explain)
        answers = await parts.batcher.answer(question)
    except Gone as error:
        raise error if alias is None else Gone(f"alias {alias!r}: {error}; PUT /aliases/{alias} moves it") from None
    answer = {"model": model, **({"alias": alias} if alias else {}), "predictions": answers}
    return Response(orjson.dumps(answer), media_type="application/json")


async def _picked(parts: Parts, tenant: str, body: PredictBody) -> str:
    """The id that an alias means for this question."""
    alias = parts.aliases.at_hand(tenant, body.model)
    if alias is None:
        alias = await asyncio.to_thread(parts.aliases.get, tenant, body.model)
    return alias.pick(body.key or secrets.token_hex(8))

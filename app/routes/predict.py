"""POST /predict: an adapted model answers."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends
from fastapi.responses import Response

from app.access import CanPredict
from app.batching import Question
from app.bodies import predict_body
from app.deps import PartsDep
from app.openapi import PROBLEMS, body_of
from app.schemas import PredictBody, Predictions

router = APIRouter(tags=["adapt and predict"])

FORM = {
    "type": "object",
    "required": ["model"],
    "properties": {"model": {"type": "string"}, "coverage": {"type": "number"}},
    "additionalProperties": {"type": "array", "items": {"type": "string", "format": "binary"}},
}


@router.post("/predict", response_model=Predictions, responses=PROBLEMS, openapi_extra=body_of(PredictBody, FORM))
async def predict(caller: CanPredict, body: Annotated[PredictBody, Depends(predict_body)], parts: PartsDep) -> Response:
    """Ask an adapted model: class probabilities, or mean and 90 % interval, for each input."""
    answers = await parts.batcher.answer(Question(caller.tenant, body.model, body.inputs, body.coverage))
    return Response(orjson.dumps({"model": body.model, "predictions": answers}), media_type="application/json")

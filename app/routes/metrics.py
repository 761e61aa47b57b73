"""GET /metrics: what Prometheus reads."""

from typing import Annotated

from fastapi import APIRouter, Header, Response
from prometheus_client import exposition

from app.access import CanSeeMetrics
from app.deps import PartsDep
from app.queue_metrics import with_queues
from meta_core.metrics import registry

router = APIRouter(tags=["operations"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Metrics as text", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(
    caller: CanSeeMetrics, parts: PartsDep, accept: Annotated[str, Header(description="text or OpenMetrics")] = ""
) -> Response:
    """Counts and times of the service, in the text formats of Prometheus."""
    encode, media_type = exposition.choose_encoder(accept)
    return Response(encode(with_queues(registry(), parts.orders)), headers={"Content-Type": media_type})

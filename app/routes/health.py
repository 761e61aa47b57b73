"""Whether the service lives, and whether it can work."""

from typing import Any

from fastapi import APIRouter, Response
from redis.exceptions import RedisError

from app.deps import Parts, PartsDep
from app.schemas.problems import Health
from meta_core.errors import Unavailable

router = APIRouter(tags=["operations"])


@router.get("/healthz", response_model=Health)
async def healthz() -> dict[str, Any]:
    """Answer at all."""
    return {"status": "ok", "checks": {"api": "ok"}}


@router.get("/readyz", response_model=Health, responses={503: {"model": Health, "description": "Not ready"}})
def readyz(parts: PartsDep, response: Response) -> dict[str, Any]:
    """Redis, the store and a worker are there, so that an adapt would be carried out."""
    checks = {"redis": _redis(parts), "store": _store(parts), "worker": _worker(parts), "access": _access(parts)}
    if parts.orders.ending:
        checks["api"] = "this process is about to end"
    ready = all(result.startswith("ok") for result in checks.values())
    if not ready:
        response.status_code = 503
        response.headers["Retry-After"] = "1"
    return {"status": "ok" if ready else "unavailable", "checks": checks}


def _redis(parts: Parts) -> str:
    try:
        parts.orders.redis.ping()
    except RedisError as error:
        return f"does not answer: {error}"
    return "ok"


def _store(parts: Parts) -> str:
    try:
        parts.store.check()
    except Unavailable as error:
        return str(error)
    return "ok"


def _worker(parts: Parts) -> str:
    try:
        alive = [worker for worker in parts.orders.live_workers() if worker["queue"] == "adapt"]
    except RedisError:
        return "unknown: Redis does not answer"
    return f"ok: {len(alive)} alive" if alive else "none is alive; start one with `shotput worker`"


def _access(parts: Parts) -> str:
    try:
        return f"ok: {parts.ring.served()}"
    except Unavailable as error:
        return str(error)

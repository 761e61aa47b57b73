"""Every request is seen: given an id, counted, timed and logged."""

import functools
import logging
import time

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.headers import header
from meta_core import logs, metrics, tracing

HEADER = b"x-request-id"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "(none)"
"""Label of what no route took: unknown paths, and requests refused before they were routed."""
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines; logged only when they fail."""

log = logging.getLogger(logs.ACCESS)


class Observed:
    """The outermost part of the application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note what becomes of it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        id = logs.request_id(header(scope, HEADER))
        scope.setdefault("state", {})["request_id"] = id
        status = 500  # what an error that nobody caught is answered with, further out
        started = time.perf_counter()

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (HEADER, id.encode())]
            await send(message)

        parent = header(scope, b"traceparent")
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        server = tracing.span(method, parent=parent, kind="server", request_id=id)
        with logs.about(id), metrics.IN_PROGRESS.track_inprogress(), server:
            try:
                await self.app(scope, receive, named)
            finally:
                _note(scope, method, status, time.perf_counter() - started)


def _note(scope: Scope, method: str, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", None) or NO_ROUTE
    requests, request_seconds = _meters(method, route, status)
    requests.inc()
    request_seconds.observe(seconds)
    tracing.rename(f"{method} {route}", http__route=route, http__response__status_code=status)
    if route not in QUIET or status >= 500:
        about = {"method": method, "route": route, "status": status, "seconds": round(seconds, 6)}
        log.info("%s %s", method, scope["path"][:200], extra=about)


@functools.lru_cache(maxsize=1024)
def _meters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return metrics.REQUESTS.labels(method, route, str(status)), metrics.REQUEST_SECONDS.labels(method, route)

"""Errors as RFC 9457 problems: what was found, what was needed, and where."""

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from meta_core.errors import (
    CorruptArtifact,
    DownloadFailed,
    Forbidden,
    Gone,
    InUse,
    InvalidDataset,
    InvalidExample,
    InvalidParameter,
    InvalidRequest,
    LimitExceeded,
    MetaError,
    NotFound,
    NotReady,
    QuotaExceeded,
    StorageQuotaExceeded,
    Unauthenticated,
    Unavailable,
    Unusable,
)
from meta_core.logs import about, request_id

STATUS: dict[type[MetaError], int] = {
    InvalidRequest: 422,
    Unauthenticated: 401,
    Forbidden: 403,
    QuotaExceeded: 429,
    StorageQuotaExceeded: 403,
    NotFound: 404,
    Gone: 410,
    NotReady: 409,
    Unusable: 409,
    InUse: 409,
    Unavailable: 503,
    DownloadFailed: 502,
    CorruptArtifact: 500,
}
METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
RETRY_AFTER = {409: "1", 503: "5"}

log = logging.getLogger("shotput.api")


def install(app: FastAPI) -> None:
    """Answer every error of this application with a problem."""
    for kind, handler in EXPECTED.items():
        app.add_exception_handler(kind, handler)
    app.add_exception_handler(Exception, _unexpected)


def problem(
    request: Request, status: int, code: str, detail: str, errors: Sequence[dict[str, str]] = (), **more: Any
) -> JSONResponse:
    """One problem; `errors` point at the parts of the body that are wrong."""
    id = getattr(request.state, "request_id", None) or request_id(None)
    body = {
        "type": f"urn:shotput:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "instance": request.url.path,
        "request_id": id,
        **({"errors": list(errors)} if errors else {}),
    }
    return JSONResponse(body, status, media_type="application/problem+json", **more)


def status_of(error: MetaError) -> int:
    """The HTTP status of an error of the core."""
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


async def _meta_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MetaError)
    return meta_problem(request, error)


def meta_problem(request: Request, error: MetaError) -> JSONResponse:
    """The problem for an error of the core."""
    status = status_of(error)
    if status >= 500:
        log.error("%s %s: %s", request.method, request.url.path, error)
    return problem(request, status, error.code, str(error), _pointers(request, error), headers=_headers(error))


def _headers(error: MetaError) -> dict[str, str]:
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": 'Bearer realm="shotput"'}
    if isinstance(error, QuotaExceeded):
        return {
            "Retry-After": str(error.reset),
            **rate_limit(error.what, error.most, error.window, left=0, reset=error.reset),
        }
    # only what passes by itself is worth another try
    return {"Retry-After": RETRY_AFTER[status_of(error)]} if isinstance(error, NotReady | Unavailable) else {}


def rate_limit(what: str, most: int, window: int, *, left: int, reset: int) -> dict[str, str]:
    """Headers that tell a quota and what is left of it, as draft-ietf-httpapi-ratelimit-headers-10 has it."""
    return {"RateLimit-Policy": f'"{what}";q={most};w={window}', "RateLimit": f'"{what}";r={left};t={reset}'}


def _pointers(request: Request, error: MetaError) -> list[dict[str, str]]:
    if isinstance(error, LimitExceeded):
        return [{"pointer": "", "detail": str(error), "setting": f"SHOTPUT_{error.limit.upper()}"}]
    if isinstance(error, InvalidParameter) and error.parameter:
        return [{"pointer": f"/params/{error.parameter[:100]}", "detail": str(error)}]
    if isinstance(error, InvalidDataset):
        return [{"pointer": "", "place": place, "detail": detail} for place, detail in error.problems]
    if not isinstance(error, InvalidExample):
        return []
    parent = "/support" if request.url.path.endswith("/adapt") else ""
    return [{"pointer": f"{parent}/{error.field}/{error.index}", "detail": error.detail}]


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [{"pointer": _pointer(found), "detail": found["msg"]} for found in error.errors()[:20]]
    detail = "; ".join(f"{found['pointer'] or 'the request'}: {found['detail']}" for found in errors[:3])
    return problem(request, 422, "invalid_request", detail, errors)


def _pointer(found: dict[str, Any]) -> str:
    if found["type"] == "json_invalid":  # its place is an offset, which the message has too
        return ""
    parts = [part for part in found["loc"] if part not in ("body", "list[any]", "ArrayInputs")]
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return http_problem(request, error)


def http_problem(request: Request, error: HTTPException) -> JSONResponse:
    """The problem for an error of the framework's own; its 400, for bodies it cannot parse, is our 422."""
    status = 422 if error.status_code == 400 else error.status_code
    codes = {
        408: "request_timeout",
        404: "not_found",
        405: "method_not_allowed",
        413: "limit_exceeded",
        415: "unsupported_media_type",
    }
    detail = {
        404: f"there is no {request.url.path}; see /docs",
        405: f"{request.url.path} does not take {request.method}",
    }.get(status, str(error.detail))
    code = codes.get(status, "invalid_request")
    headers = {"Allow": ", ".join(sorted(_methods(request)))} if status == 405 else error.headers
    return problem(request, status, code, detail, headers=headers)


def _methods(request: Request) -> set[str]:
    """All that this path takes; the framework names those of the first of its routes alone."""
    asked = ({**request.scope, "method": method} for method in METHODS)
    return {scope["method"] for scope in asked if any(_fits(route, scope) for route in request.app.routes)}


def _fits(route: BaseRoute, scope: Scope) -> bool:
    return route.matches(scope)[0] == Match.FULL


async def _redis_error(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s: Redis: %s", request.method, request.url.path, error)
    return problem(request, 503, "unavailable", "the queue does not answer", headers={"Retry-After": "5"})


EXPECTED: dict[type[Exception], Callable[[Request, Exception], Coroutine[Any, Any, JSONResponse]]] = {
    MetaError: _meta_error,
    RequestValidationError: _validation_error,
    HTTPException: _http_error,
    RedisError: _redis_error,
}


async def answer_to(request: Request, error: Exception) -> JSONResponse:
    """The problem for an error of one of the `EXPECTED` kinds."""
    return await next(handler for kind, handler in EXPECTED.items() if isinstance(error, kind))(request, error)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    with about(request.state.request_id):
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    answer = problem(request, 500, "internal", "an unexpected error; the log of the service has the details")
    answer.headers["X-Request-Id"] = request.state.request_id  # this answer is given outside of what does it elsewhere
    return answer

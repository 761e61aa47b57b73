"""`POST /predict` taken past the framework's routing, which would cost as much as all else that is done for it here."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access import granted
from app.bodies import json_body
from app.deps import Parts
from app.errors import EXPECTED, answer_to
from app.headers import header
from app.routes import predict
from app.schemas.predicting import PredictBody

PATH = "/predict"
(ROUTE,) = predict.router.routes
JSON = "application/json"


class Direct:
    """Answers a question in JSON as its route would; everything else passes on, forms and wrong requests too."""

    def __init__(self, app: ASGIApp, parts: Parts) -> None:
        self.app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST" or not _is_json(scope):
            return await self.app(scope, receive, send)
        scope["route"] = ROUTE
        try:
            response = await self._answered(scope, receive)
        except tuple(EXPECTED) as error:
            response = await answer_to(Request(scope), error)
        return await response(scope, receive, send)

    async def _answered(self, scope: Scope, receive: Receive) -> Response:
        caller = granted(scope["state"]["caller"], "predict")
        body = await json_body(await Request(scope, receive).body(), PredictBody)
        return await predict.answered(self._parts, caller.tenant, body)


def _is_json(scope: Scope) -> bool:
    kind = header(scope, b"content-type")
    return kind is None or kind == JSON or kind.split(";")[0].strip().lower() == JSON

"""Requests that are too large, refused before they are read."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import http_problem

TOO_LARGE = HTTPException(413, "the request body is larger than the setting SHOTPUT_MAX_BODY_BYTES allows")
DATASET_TOO_LARGE = HTTPException(413, "the dataset is larger than the setting SHOTPUT_MAX_DATASET_BYTES allows")
ROOM_FOR_FORM = 64 * 1024
"""Bytes that a form may take beside the file in it."""


class BodyLimit:
    """Answers 413 with a problem; the framework's own limit answers in plain text."""

    def __init__(self, app: ASGIApp, most: int, most_of_dataset: int) -> None:
        self.app = app
        self.most = most
        self.most_of_dataset = most_of_dataset + ROOM_FOR_FORM

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, as long as it is small enough."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        is_dataset = scope["path"].rstrip("/") == "/datasets"
        most, error = (self.most_of_dataset, DATASET_TOO_LARGE) if is_dataset else (self.most, TOO_LARGE)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > most:
            return await http_problem(Request(scope), error)(scope, receive, send)
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise error
            return message

        return await self.app(scope, counted, send)

"""Requests that are too large, refused before they are read, or too slow, while they are."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import http_problem
from app.headers import header

TOO_LARGE = HTTPException(413, "the request body is larger than the setting SHOTPUT_MAX_BODY_BYTES allows")
DATASET_TOO_LARGE = HTTPException(413, "the dataset is larger than the setting SHOTPUT_MAX_DATASET_BYTES allows")
TOO_SLOW = HTTPException(408, "the request body came too slowly", headers={"Connection": "close"})
SLOWEST = 1024
"""Bytes a second that a body must come at, in the mean since its beginning."""
ROOM_FOR_FORM = 64 * 1024
"""Bytes that a form may take beside the file in it."""


class BodyLimit:
    """Answers 413 with a problem, as the framework's own limit does in plain text; and 408 to a body that trickles.

    `patience`: seconds by which a body may lag behind the slowest pace.
    """

    def __init__(self, app: ASGIApp, most: int, most_of_dataset: int, patience: float = 30) -> None:
        self.app = app
        self.patience = patience
        self.most = most
        self.most_of_dataset = most_of_dataset + ROOM_FOR_FORM

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, as long as it is small enough."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        is_dataset = scope["path"].rstrip("/") == "/datasets"
        most, error = (self.most_of_dataset, DATASET_TOO_LARGE) if is_dataset else (self.most, TOO_LARGE)
        declared = header(scope, b"content-length")
        if declared and declared.isdecimal() and int(declared) > most:
            return await http_problem(Request(scope), error)(scope, receive, send)
        received, more, clock = 0, True, asyncio.get_running_loop().time
        started = clock()

        async def counted() -> Message:
            nonlocal received, more
            deadline = started + self.patience + received / SLOWEST if more else None  # then a disconnection
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise TOO_SLOW from None
            received += len(message.get("body", b""))
            more = bool(message.get("more_body"))
            if received > most:
                raise error
            return message

        return await self.app(scope, counted, send)

"""How many support sets are checked and kept at the same time; a request beyond that is refused before it is read."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.caller import Caller
from app.errors import RETRY_AFTER, problem
from meta_core.errors import Unavailable


class Accepting:
    """Answers 503 with `Retry-After` to support sets that come while `most` others are being accepted.

    A place is taken with the last byte of a body, so that slow clients hold none, and left once the request is
    accepted and only waits, or is answered. Without this requests would queue for the threads that check them, where
    nobody sees that there is no room for what they order. `recall` raises `Unavailable` where it is known that there
    is none for the orders of a tenant.
    """

    def __init__(self, app: ASGIApp, most: int, recall: Callable[[str], None]) -> None:
        self.app = app
        self.most = most
        self.recall = recall
        self.taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, as long as there is a place for it."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith(("/adapt", "/examples")):
            return await self.app(scope, receive, send)
        caller: Caller = scope["state"]["caller"]
        try:
            self.check()
            self.recall(caller.tenant)
        except Unavailable as error:
            return await _refusal(scope, error)(scope, receive, send)
        place = scope["state"]["place"] = Place(self)

        async def until_complete() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                place.take()
            return message

        try:
            await self.app(scope, until_complete, send)
        finally:
            place.leave()

    def check(self) -> None:
        """Raises `Unavailable` when all places are taken."""
        if self.taken >= self.most:
            raise Unavailable(
                f"{self.taken} requests are being accepted; the setting SHOTPUT_MAX_ACCEPTING allows no more at a time"
            )


def _refusal(scope: Scope, error: Unavailable) -> Response:
    # not logged as an error: it is an answer like any other, and must cost little
    return problem(Request(scope), 503, error.code, str(error), headers={"Retry-After": RETRY_AFTER[503]})


class Place:
    """What one request holds from the last byte of its body until it is accepted."""

    def __init__(self, bound: Accepting) -> None:
        self._bound = bound
        self._taken = False

    def take(self) -> None:
        """Raises `Unavailable` when all places were taken while the body came."""
        self._bound.check()
        self._bound.taken += 1
        self._taken = True

    def leave(self) -> None:
        """Make room for the next; once."""
        self._bound.taken -= self._taken
        self._taken = False


def leave_place(request: Request) -> None:
    """To be called once a request only waits."""
    place: Place = request.state.place
    place.leave()

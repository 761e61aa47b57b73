"""So many support sets are accepted at a time; what comes beyond that is refused, most of it unread."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app import errors
from app.accepting import Accepting, leave_place
from app.caller import LOCAL
from meta_core.errors import MetaError, Unavailable


class Gate:
    """A request to adapt that stays where it is told to: read, then accepted, then waiting for its model."""

    def __init__(self) -> None:
        self.came, self.accept = asyncio.Event(), asyncio.Event()
        self.waits, self.answer = asyncio.Event(), asyncio.Event()

    async def passes(self, request: Request) -> PlainTextResponse:
        await request.body()
        self.came.set()
        await self.accept.wait()
        leave_place(request)
        self.waits.set()
        await self.answer.wait()
        return PlainTextResponse("made")


class Body:
    """A body that says when it is read, and comes to its end when it is told to."""

    def __init__(self) -> None:
        self.read, self.end = asyncio.Event(), asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.read.set()
        yield b"half"
        await self.end.wait()
        yield b"the rest"


def roomy(tenant: str) -> None:
    """There is room for the orders of everybody."""


def full(tenant: str) -> None:
    raise Unavailable(f"no room for {tenant}")


Scenario = Callable[[httpx.AsyncClient, list[Gate]], Awaitable[None]]


def served(scenario: Scenario, most: int, recall: Callable[[str], None] = roomy) -> None:
    """Run a scenario against an application that stops its requests, in the order they are read, at these gates."""

    async def run() -> None:
        gates = [Gate() for _ in range(3)]
        order = iter(gates)

        async def adapt(request: Request) -> PlainTextResponse:
            return await next(order).passes(request)

        app = Starlette(routes=[Route("/adapt", adapt, methods=["GET", "POST"])])
        app.add_exception_handler(MetaError, errors._meta_error)
        bounded = Accepting(app, most, recall)

        async def known(scope: Scope, receive: Receive, send: Send) -> None:
            await bounded({**scope, "state": {"caller": LOCAL}}, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(known), base_url="http://test") as client:
            async with asyncio.timeout(60):
                await scenario(client, gates)
        assert bounded.taken == 0

    asyncio.run(run())


def refused(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "unavailable", "5")


def test_a_place_is_free_again_once_a_request_only_waits() -> None:
    async def scenario(client: httpx.AsyncClient, gates: list[Gate]) -> None:
        first = asyncio.create_task(client.post("/adapt", content=b"1"))
        second = asyncio.create_task(client.post("/adapt", content=b"2"))
        await gates[0].came.wait()
        await gates[1].came.wait()
        unread = Body()
        answer = await client.post("/adapt", content=unread)
        assert refused(answer)
        assert "2 requests are being accepted; the setting SHOTPUT_MAX_ACCEPTING" in answer.json()["detail"]
        assert not unread.read.is_set()
        gates[0].accept.set()
        await gates[0].waits.wait()
        third = asyncio.create_task(client.post("/adapt", content=b"3"))
        await gates[2].came.wait()
        assert refused(await client.post("/adapt", content=b"4"))
        for gate in gates:
            gate.accept.set()
            gate.answer.set()
        assert [(await task).status_code for task in (first, second, third)] == [200] * 3

    served(scenario, most=2)


def test_a_slow_body_holds_no_place_and_may_find_none_in_the_end() -> None:
    async def scenario(client: httpx.AsyncClient, gates: list[Gate]) -> None:
        slow = Body()
        late = asyncio.create_task(client.post("/adapt", content=slow))
        await slow.read.wait()
        quick = asyncio.create_task(client.post("/adapt", content=b"quick"))
        await gates[1].came.wait()
        slow.end.set()
        assert refused(await late)
        for gate in gates:
            gate.accept.set()
            gate.answer.set()
        assert (await quick).status_code == 200

    served(scenario, most=1)


def test_a_body_is_not_read_where_there_is_known_to_be_no_room_for_its_order() -> None:
    async def scenario(client: httpx.AsyncClient, gates: list[Gate]) -> None:
        unread = Body()
        answer = await client.post("/adapt", content=unread)
        assert refused(answer)
        assert answer.json()["detail"] == f"no room for {LOCAL.tenant}"
        assert not unread.read.is_set()

    served(scenario, most=1, recall=full)

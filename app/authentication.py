"""Who asks, found out once per request and before any of its body is read."""

import asyncio
import functools
import ipaddress
import time
from collections import OrderedDict
from typing import Literal

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from app import keys
from app.access import OPEN
from app.caller import LOCAL, Caller
from app.errors import meta_problem
from app.headers import header
from app.keys import Key
from meta_core.errors import Forbidden, MetaError, NotFound, Unauthenticated, Unavailable
from meta_core.store import Store

FRESH = 2.0
"""Seconds for which a key that was read is believed: how late a revocation is noticed."""
STALE = 300.0
"""Seconds for which it is believed while the store does not answer."""
MOST_KEPT = 10_000

WithoutKeys = Literal["loopback", "anyone", "nobody"]


class KeyRing:
    """The keys of a store as one process sees them."""

    def __init__(self, store: Store, without_keys: WithoutKeys = "loopback") -> None:
        self._store = store
        self.without_keys = without_keys
        self._kept: OrderedDict[str, tuple[Key | None, float]] = OrderedDict()
        self._any: tuple[bool, float] = (False, -STALE)

    async def caller(self, text: str) -> Caller:
        """Whose key this is. Raises `Unauthenticated` or `Unavailable`."""
        found = keys.TEXT.fullmatch(text)
        key = await self._find(found[1]) if found else None
        if key is None or not key.opens_with(text):
            raise Unauthenticated("the API key is not known")
        if (status := key.status()) != "active":
            raise Unauthenticated(f"the API key {key.id} is {status}")
        return key.caller()

    async def any(self) -> bool:
        """Whether there is any key, be it revoked. Once there is one, there always is."""
        exists, read = self._any
        if not exists and time.monotonic() - read >= FRESH:
            try:
                exists = await asyncio.to_thread(self._look)
            except Unavailable:
                if time.monotonic() - read >= STALE:
                    raise
            else:
                self._any = exists, time.monotonic()
        return exists

    def served(self) -> str:
        """Who is served, in a sentence. Raises `Unavailable`."""
        who = {"loopback": "this machine alone", "anyone": "anybody who reaches it", "nobody": "nobody"}
        return "whoever has an API key" if self._look() else f"no API keys: {who[self.without_keys]} is served"

    def _look(self) -> bool:
        return any(True for _ in self._store.keys(keys.FOLDER))

    async def _find(self, id: str) -> Key | None:
        key, read = self._kept.get(id, (None, -STALE))
        age = time.monotonic() - read
        if age < FRESH:
            return key
        try:
            key = await asyncio.to_thread(keys.load, self._store, id)
        except NotFound:
            key = None
        except Unavailable:
            if key is None or age >= STALE:
                raise
            return key
        self._kept[id] = key, time.monotonic()
        self._kept.move_to_end(id)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return key


class Authentication:
    """Lets a request pass with its caller in `request.state.caller`, or answers it with a problem."""

    def __init__(self, app: ASGIApp, ring: KeyRing) -> None:
        self.app = app
        self._ring = ring

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Pass a request on once it is known who asks."""
        if scope["type"] == "lifespan" or scope["path"] in OPEN:
            return await self.app(scope, receive, send)
        try:
            scope["state"]["caller"] = await self._identified(scope)
        except MetaError as error:
            return await meta_problem(Request(scope), error)(scope, receive, send)
        return await self.app(scope, receive, send)

    async def _identified(self, scope: Connection) -> Caller:
        if await self._ring.any():
            scheme, _, text = (header(scope, b"authorization") or "").partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthenticated("send an API key: `Authorization: Bearer sk_…`")
            return await self._ring.caller(text.strip())
        allowed = self._ring.without_keys
        if allowed == "anyone" or (allowed == "loopback" and _is_local(scope)):
            return LOCAL
        raise Forbidden(
            "there are no API keys, and so not everybody is served; make one with `shotput keys create`, "
            "or let everybody in with SHOTPUT_WITHOUT_KEYS=anyone"
        )


def _is_local(scope: Connection) -> bool:
    """Whether the request comes from this machine, and was meant for it: a page in a browser may lead others here."""
    client, server = scope.get("client"), scope.get("server")
    meant_for = _hostname(header(scope, b"host"), tuple(server) if server else None)
    return _loopback(client[0] if client else "localhost") and _loopback(meant_for)


@functools.lru_cache(maxsize=1024)
def _hostname(host: str | None, server: tuple[str, int | None] | None) -> str:
    """Whom a request is meant for, by its header `Host` and by where it arrived."""
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    return URL(scope={"path": "/", "headers": headers, "server": server}).hostname or ""


@functools.lru_cache(maxsize=1024)
def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost") or not host

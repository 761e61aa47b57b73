"""Orders from the side of the API: submitted, waited for, looked at, cancelled."""

import asyncio
import contextlib
import json
import logging
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

from meta_core import metrics, tracing
from meta_core.errors import NotFound, Unavailable
from meta_core.ids import checked_id
from meta_core.logs import current_request
from meta_core.orders import (
    DONE_CHANNEL,
    MOVED_CHANNEL,
    PROGRESS_KEY,
    WORKER_KEY,
    WORKER_OF,
    Order,
    Result,
    accept,
    finish,
    load_order,
    load_outcome,
    now,
    public_record,
    queue_name,
)
from meta_core.queueing import Queueing
from meta_core.store import Store

RECHECK = 1.0
"""Seconds after which a waiting request looks by itself, should an announcement have been lost."""

AWAY = 5.0
"""Seconds for which a Redis that hung is not asked again: each who asks it holds a thread for as long as it hangs."""

FULL_FOR = 0.02
"""Seconds for which a line that was full is believed to be: so long it costs nothing to refuse what comes."""

SILENCE = 15.0
"""Seconds after which somebody who watches an order is told that nothing is new."""
UNFINISHED = ("queued", "running")

log = logging.getLogger("shotput.api")
Record = dict[str, Any]


class Orders:
    """The orders of all requests of one API process."""

    def __init__(self, store: Store, redis_url: str, max_waiting: int) -> None:
        self.store = store
        self.ending = False
        self._max_waiting = max_waiting
        self._away_until = -math.inf
        self._full: dict[str, tuple[int, float]] = {}
        self._redis_url = redis_url
        self.redis = redis.Redis.from_url(
            redis_url, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        self._queueing = Queueing(self.redis, partial(Queue, connection=self.redis, serializer=JSONSerializer))
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._watching: dict[str, set[asyncio.Event]] = defaultdict(set)

    @tracing.traced("submit order")
    def submit(self, order: Order, support: bytes | None = None) -> None:
        """Make an order durable, then queue it. If the queue is away the worker's reconciler queues it later.

        Raises `Unavailable` when too many wait already.
        """
        self._check_room(order.queue)
        order = replace(order, request_id=current_request(), trace=tracing.traceparent())
        accept(self.store, order, support)
        metrics.ACCEPTED.labels(WORKER_OF[order.kind]).inc()
        try:
            with self._unless_away():
                self._queueing.put(order)
        except RedisError as error:
            log.warning("order %s is kept but not queued yet: %s", order.id, error)

    def check_room(self, tenant: str) -> None:
        """Raises `Unavailable` when too many adapts of a tenant wait already."""
        self.recall_room(tenant)
        self._check_room(queue_name("adapt", tenant))

    def recall_room(self, tenant: str) -> None:
        """Raises `Unavailable` when too many adapts of a tenant waited a moment ago; asks nobody."""
        waiting, until = self._full.get(queue_name("adapt", tenant), (0, -math.inf))
        if time.monotonic() < until:
            raise _no_room(waiting)

    def _check_room(self, queue: str) -> None:
        try:
            with self._unless_away():
                waiting = self._queueing.line(queue).count
        except RedisError as error:
            log.warning("an order is taken uncounted: %s", error)
            return
        if waiting >= self._max_waiting:
            self._full[queue] = waiting, time.monotonic() + FULL_FOR
            raise _no_room(waiting)

    @contextlib.contextmanager
    def _unless_away(self) -> Iterator[None]:
        """For use of Redis that can be done without. Raises `RedisError`, at once when it hung a moment ago."""
        if time.monotonic() < self._away_until:
            raise redis.TimeoutError("it did not answer a moment ago")
        try:
            yield
        except redis.TimeoutError:
            self._away_until = time.monotonic() + AWAY
            raise

    def end(self) -> None:
        """Keep nobody waiting any longer: this process shall end."""
        self.ending = True
        for events in self._waiting.values():
            for event in events:
                event.set()

    def exists(self, tenant: str, id: str) -> bool:
        """Whether there is such an order, finished or not."""
        try:
            self.record(tenant, id)
        except NotFound:
            return False
        return True

    async def wait(self, tenant: str, id: str, seconds: float) -> Record:
        """The record of an order, finished if that happens within `seconds`. Raises `NotFound` after that."""
        event = asyncio.Event()
        self._waiting[id].add(event)
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            while (remaining := deadline - asyncio.get_running_loop().time()) > 0 and not self.ending:
                outcome = await asyncio.to_thread(load_outcome, self.store, tenant, checked_id(id))
                if outcome is not None:
                    return {**outcome[1], "status": outcome[0]}
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), min(remaining, RECHECK))
                event.clear()
            return await asyncio.to_thread(self.record, tenant, id)
        finally:
            self._waiting[id].discard(event)
            if not self._waiting[id]:
                del self._waiting[id]

    async def watch(self, tenant: str, id: str) -> AsyncIterator[Record | None]:
        """The record of an order now and whenever it has moved, the last time finished; None when nothing is new."""
        event = asyncio.Event()
        for watched in (self._waiting, self._watching):
            watched[id].add(event)
        try:
            while True:
                event.clear()
                record = await asyncio.to_thread(self.record, tenant, id)
                yield record
                if record["status"] not in UNFINISHED or self.ending:
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), SILENCE)
                if not event.is_set():
                    yield None
        finally:
            for watched in (self._waiting, self._watching):
                watched[id].discard(event)
                if not watched[id]:
                    del watched[id]

    def record(self, tenant: str, id: str) -> Record:
        """What is known of an order, finished or not. Raises `NotFound`."""
        outcome = load_outcome(self.store, tenant, checked_id(id))
        order = load_order(self.store, tenant, id) if outcome is None else None
        if outcome is None and order is None:  # it may have been finished between the two looks
            outcome = load_outcome(self.store, tenant, id)
        if outcome is not None:
            return {**outcome[1], "status": outcome[0]}
        if order is None:
            raise NotFound(f"there is no {id}")
        progress = self._progress(id)
        return {**public_record(order), "status": "running" if progress else "queued", "progress": progress}

    def _progress(self, id: str) -> Record | None:
        try:
            with self._unless_away():
                fields: dict[bytes, bytes] = self.redis.hgetall(PROGRESS_KEY + id)  # type: ignore[assignment]
        except RedisError as error:
            log.warning("no progress of %s: %s", id, error)
            return None
        return {key.decode(): json.loads(value) for key, value in fields.items()} or None

    def cancel(self, tenant: str, id: str) -> None:
        """Give an unfinished order the outcome `cancelled`; a running worker sees it and stops."""
        order = load_order(self.store, tenant, checked_id(id))
        if order is not None:
            error = {"code": "cancelled", "detail": "cancelled by DELETE"}
            finish(self.store, order, Result(status="cancelled", record={"finished_at": now(), "error": error}))
            self.announce(id)

    def announce(self, id: str) -> None:
        """Tell all processes that something about this id has changed."""
        try:
            with self._unless_away():
                self.redis.publish(DONE_CHANNEL, id)
        except RedisError as error:
            log.warning("change of %s not announced: %s", id, error)

    def live_workers(self) -> list[Record]:
        """What the workers that are alive say of themselves. Raises `RedisError`."""
        keys = list(self.redis.scan_iter(f"{WORKER_KEY}*", count=1000))
        values: list[bytes | None] = self.redis.mget(keys) if keys else []  # type: ignore[assignment]
        return [json.loads(value) for value in values if value]

    async def listen(self, changed: Callable[[str], None], missed: Callable[[], None]) -> None:
        """Wake waiting requests as orders finish, until cancelled.

        `changed` is told every id; `missed` is called when news may have been lost.
        """
        while True:
            try:
                async with (
                    redis.asyncio.Redis.from_url(self._redis_url, health_check_interval=10) as client,
                    client.pubsub() as channel,
                ):
                    await channel.subscribe(DONE_CHANNEL, MOVED_CHANNEL)
                    missed()
                    async for message in channel.listen():
                        if message["type"] == "message" and message["channel"] == MOVED_CHANNEL.encode():
                            self._show(message["data"].decode())
                        elif message["type"] == "message":
                            self._wake(message["data"].decode(), changed)
            except (RedisError, OSError) as error:
                log.warning("the queue does not answer (%s); trying again", error)
                await asyncio.sleep(0.5)

    def _wake(self, id: str, changed: Callable[[str], None]) -> None:
        changed(id)
        for event in self._waiting.get(id, ()):
            event.set()

    def _show(self, id: str) -> None:
        for event in self._watching.get(id, ()):
            event.set()


def _no_room(waiting: int) -> Unavailable:
    return Unavailable(f"{waiting} orders wait already; the setting SHOTPUT_MAX_WAITING allows no more")

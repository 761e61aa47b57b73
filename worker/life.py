"""The life of an order in a worker: counted, carried out, committed, announced."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial

from redis.exceptions import RedisError

from meta_core import metrics, tracing
from meta_core.errors import BrokenOff, Cancelled, MetaError, Unavailable
from meta_core.ids import checkpoint_key, seconds_of
from meta_core.logs import about
from meta_core.orders import (
    ATTEMPTS,
    DONE_CHANNEL,
    SECONDS,
    WORKER_OF,
    Order,
    Result,
    finish,
    load_order,
    load_outcome,
    now,
)
from worker.deadline import TookTooLong
from worker.workplace import Workplace

log = logging.getLogger(__name__)

ATTEMPTS_KEY = "shotput:attempts:"
"""Prefix of the Redis counter of an order's starts since it last got further."""

Commit = Callable[[], Result | None]
"""Gives an order the outcome that was worked out for it; returns and raises what `carry_out` does."""


class Interrupted(BrokenOff):
    """The process shall end; the order stays open and another worker takes it on."""


def carry_out(place: Workplace, tenant: str, id: str, work: Callable[[Order], Result]) -> Result | None:
    """Give an open order its one outcome. Returns a `ready` result that came after a cancellation, else None.

    An order with an outcome needs nothing: this is how a second execution ends. Raises `Interrupted`, `Unavailable`
    or `RedisError` when the order stays open, through no fault of its own.
    """
    commit = worked_out(place, tenant, id, work)
    return commit() if commit is not None else None


def worked_out(place: Workplace, tenant: str, id: str, work: Callable[[Order], Result]) -> Commit | None:
    """The first half of `carry_out`: what is left to do is to call what this returns, if anything, on any thread."""
    order = load_order(place.store, tenant, id)
    if order is None:
        log.info("%s: nothing left to do", id)
        return None
    with about(order.request_id), tracing.span(order.kind, parent=order.trace, kind="consumer", order=order.id):
        result = _attempt(place, order, work)
        return partial(copy_context().run, _commit, place, order, result) if result is not None else None


def _attempt(place: Workplace, order: Order, work: Callable[[Order], Result]) -> Result | None:
    place.pulse.board.attempt = attempt = count_attempts(place, [order])[0]
    log.info("%s: begun, start %d", order.id, attempt)
    metrics.WAITED.labels(WORKER_OF[order.kind]).observe(time.time() - seconds_of(order.id))
    try:
        with _forgiving(place, order):
            return _poisoned(order) if attempt > ATTEMPTS else _outcome(order, work)
    except Cancelled:
        log.info("%s: stopped, it has an outcome already", order.id)
        _clear(place, order)
        return None


@contextmanager
def _forgiving(place: Workplace, order: Order) -> Iterator[None]:
    """Do something with an order that leaves it open, and its start uncounted, where others are at fault."""
    try:
        yield
    except (Interrupted, Unavailable, RedisError):
        metrics.INTERRUPTED.labels(WORKER_OF[order.kind]).inc()
        forgive_attempts(place, [order])
        raise


def count_attempts(place: Workplace, orders: Sequence[Order]) -> list[int]:
    """Starts of each order, this one included, without one that ended well or got further."""
    with place.redis.pipeline() as count:
        for order in orders:
            count.incr(ATTEMPTS_KEY + order.id)
            count.expire(ATTEMPTS_KEY + order.id, _memory(order))
        return [int(value) for value in count.execute()[::2]]


def forgive_attempts(place: Workplace, orders: Sequence[Order]) -> None:
    """Take back the count of this start of each: it did not kill its worker."""
    with place.redis.pipeline() as forgive:
        for order in orders:
            forgive.decr(ATTEMPTS_KEY + order.id)
            forgive.expire(ATTEMPTS_KEY + order.id, _memory(order))
        forgive.execute()


def forgive_all_attempts(place: Workplace, order: Order) -> None:
    """The order got further than ever: weeks of training may outlive many workers. Redis may be away for it."""
    try:
        place.redis.set(ATTEMPTS_KEY + order.id, 1, ex=_memory(order))
    except RedisError as error:
        log.warning("%s: its starts stay counted: %s", order.id, error)


def failure(code: str, detail: str) -> Result:
    """The outcome of an order that cannot be carried out."""
    return Result(status="failed", record={"finished_at": now(), "error": {"code": code, "detail": detail}})


def _memory(order: Order) -> int:
    return SECONDS[order.kind] + 24 * 3600


def _poisoned(order: Order) -> Result:
    log.error("%s: given up, it killed its worker %d times", order.id, ATTEMPTS)
    again = "if these were killed from outside, send it again, under another Idempotency-Key"
    return failure("poison", f"killed its worker {ATTEMPTS} times; {again}")


def _outcome(order: Order, work: Callable[[Order], Result]) -> Result:
    try:
        return work(order)
    except (Interrupted, Unavailable, RedisError, Cancelled):
        raise
    except MetaError as error:
        log.info("%s: failed: %s", order.id, error.code)  # what it says in full may quote an input
        return failure(error.code, str(error))
    except TookTooLong as error:
        log.warning("%s: %s", order.id, error)
        return failure("timeout", str(error))
    except Exception:
        log.exception("%s: failed inside", order.id)
        return failure("internal", "an error inside the service; its log has the details under this id")


def _commit(place: Workplace, order: Order, result: Result) -> Result | None:
    with _forgiving(place, order):
        first = finish(place.store, order, result)
    if first:
        metrics.FINISHED.labels(WORKER_OF[order.kind], result.status).inc()
    log.info("%s: %s%s", order.id, result.status, "" if first else ", but it had an outcome already")
    _clear(place, order)
    if first or result.status != "ready":
        return None
    outcome = load_outcome(place.store, order.tenant, order.id)
    return result if outcome is not None and outcome[0] == "cancelled" else None


def _clear(place: Workplace, order: Order) -> None:
    """Announce the outcome and sweep up. Redis may be away: who waits for an outcome looks again by itself."""
    if order.kind == "meta-train":  # one may have been saved after the cancellation removed the last
        place.store.delete(checkpoint_key(order.tenant, order.id))
    try:
        with place.redis.pipeline(transaction=False) as last:
            last.publish(DONE_CHANNEL, order.id)
            last.delete(ATTEMPTS_KEY + order.id)
            last.execute()
    except RedisError as error:
        log.warning("%s: not announced: %s", order.id, error)

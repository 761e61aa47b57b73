"""Reconciling Redis with the store: an open order that nobody has is queued again."""

import logging
import threading
import time
from functools import partial

from redis import Redis
from redis.exceptions import RedisError

from meta_core import metrics
from meta_core.errors import Unavailable
from meta_core.orders import DONE_CHANNEL, QUEUES, WORKER_OF, load_order, now, open_orders
from meta_core.store import Store
from meta_core.sweep import end_expired, sweep, tenants
from worker.lines import Lines
from worker.pulse import CLAIM_KEY

log = logging.getLogger(__name__)

LEADER_KEY = "shotput:reconciler"
"""Redis key that names the one worker which reconciles. Two at once would do no harm, only the work twice."""
PERIOD = 2.0
"""Seconds between two looks."""
EXPIRY_PERIOD = 15.0
"""Seconds between two looks for models whose time is up; nobody finds them any more from that time on."""
SWEEP_PERIOD = 3600.0
"""Seconds between two sweeps of what nobody needs any more."""
SHARE = 10
"""A look that took long is followed by a rest this many times as long: listing must not become the main work."""

Lost = set[tuple[str, str]]
"""Tenant and id of open orders that are in no queue and with no worker."""


class Reconciler(threading.Thread):
    """Heals what crashes leave behind: a worker killed in the middle of an order, an emptied Redis, a lost hand-off.

    An order counts as lost when it is found so twice in a row, since between being taken from the queue and being
    claimed it looks lost for a moment. A mistake costs work done twice; its outcome is still one.
    """

    def __init__(self, redis: Redis, store: Store, name: str) -> None:
        super().__init__(name="reconciler", daemon=True)
        self._redis = redis
        self._store = store
        self._name = name
        self._lines = {kind: Lines(kind, redis) for kind in QUEUES}
        self._seen: Lost = set()
        self._rest = PERIOD
        self._due = {EXPIRY_PERIOD: 0.0, SWEEP_PERIOD: time.monotonic() + SWEEP_PERIOD}
        self._ended = threading.Event()

    def run(self) -> None:
        """Look until stopped, whatever Redis and the store do."""
        while True:
            started = time.monotonic()
            try:
                if self._leads():
                    self.look()
                    self._tidy()
                else:
                    self._seen = set()
            except (RedisError, Unavailable) as error:
                log.warning("not reconciled: %s", error)
            self._rest = max(PERIOD, SHARE * (time.monotonic() - started))
            if self._ended.wait(self._rest):
                return

    def stop(self) -> None:
        """End the thread, and let another worker lead at once."""
        self._ended.set()
        self.join()
        try:
            if self._is_leader():
                self._redis.delete(LEADER_KEY)
        except RedisError as error:
            log.warning("the lead was not given back: %s", error)

    def look(self) -> int:
        """Queue again what is lost for the second time in a row; says how many."""
        lost = self._lost()
        again = lost & self._seen
        self._seen = lost - again
        return sum(self._queue_again(tenant, id) for tenant, id in again)

    def _tidy(self) -> None:
        for period, tidy in ((EXPIRY_PERIOD, self.end_expired), (SWEEP_PERIOD, self.sweep)):
            if time.monotonic() >= self._due[period]:
                self._due[period] = time.monotonic() + period
                tidy()

    def end_expired(self) -> None:
        """Delete adapted models whose time is up, everywhere."""
        for tenant in tenants(self._store):
            end_expired(self._store, tenant, now(), partial(self._redis.publish, DONE_CHANNEL))

    def sweep(self) -> None:
        """Remove what is left behind and old."""
        for tenant in tenants(self._store):
            if removed := sweep(self._store, tenant):
                log.info("%s: %d objects that nobody needed were removed", tenant, removed)

    def _leads(self) -> bool:
        life = int(self._rest + 3 * PERIOD)
        if self._redis.set(LEADER_KEY, self._name, nx=True, ex=life):
            return True
        return self._is_leader() and bool(self._redis.expire(LEADER_KEY, life))

    def _is_leader(self) -> bool:
        return self._redis.get(LEADER_KEY) == self._name.encode()

    def _lost(self) -> Lost:
        # in the direction in which an order travels, so that one on its way is rather seen twice than not at all
        opened = set(open_orders(self._store))
        queued = {
            id for lines in self._lines.values() for tenant in {t for t, _ in opened} for id in _waiting(lines, tenant)
        }
        waiting = sorted((tenant, id) for tenant, id in opened if id not in queued)
        if not waiting:
            return set()
        claims = self._redis.mget([CLAIM_KEY + id for _, id in waiting])
        return {order for order, claim in zip(waiting, claims, strict=True) if claim is None}

    def _queue_again(self, tenant: str, id: str) -> bool:
        try:
            order = load_order(self._store, tenant, id)
        except (ValueError, TypeError) as error:
            log.error("%s: its order cannot be read: %s", id, error)
            return False
        if order is None:
            return False
        metrics.REQUEUED.labels(WORKER_OF[order.kind]).inc()
        log.warning("%s: was with no worker and in no queue; queued again", id)
        if not self._lines[WORKER_OF[order.kind]].put_again(order):
            log.info("%s: somebody else queued it just now", order.id)
        return True


def _waiting(lines: Lines, tenant: str) -> list[str]:
    """Ids in the line of a tenant; if there are any, it is to have its turn."""
    ids = lines.queue(tenant).get_job_ids()
    if ids:
        lines.give_turn(tenant)
    return ids

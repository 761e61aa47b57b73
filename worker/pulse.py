"""The sign of life of a worker process, and of its hold on the order it is busy with."""

import json
import logging
import os
import threading
from collections.abc import Callable, Sequence

from redis import Redis
from redis.exceptions import RedisError

from meta_core.errors import Unavailable
from meta_core.ids import result_key
from meta_core.orders import MOVED_CHANNEL, PROGRESS_KEY, WORKER_KEY, Kind, now
from meta_core.store import Store
from worker.progress import Board

log = logging.getLogger(__name__)

CLAIM_KEY = "shotput:claim:"
"""Prefix of the Redis key, short-lived and renewed, that names the worker which carries an order out."""
BEAT = 1.0
"""Seconds between two signs. Shorter than the reconciler's look, so that claims are back before it looks twice."""
LIFE = 10
"""Seconds after which a worker without signs counts as dead."""


class Pulse(threading.Thread):
    """Renews the worker's key, its claim and its progress, and looks whether the running order is still wanted.

    A thread of its own with its own connection: neither a long step of a training nor a Redis that hangs holds up
    the other.
    """

    def __init__(
        self, redis: Redis, store: Store, queue: Kind, name: str, ending: Callable[[], bool] = lambda: False
    ) -> None:
        super().__init__(name="pulse", daemon=True)
        self.worker = name
        self.board = Board()
        self.unwanted = False
        self.ending = ending
        self.when_unwanted: Callable[[], None] | None = None
        self._redis = redis
        self._store = store
        self._own = {"queue": queue, "pid": os.getpid(), "started_at": now()}
        self._held: set[str] = set()
        self._unsaid: set[str] = set()
        self._current: tuple[str, str] | None = None
        self._lock = threading.Lock()  # a beat that began before `end` must not renew the claim after it
        self._ended = threading.Event()

    def claim(self, ids: Sequence[str]) -> set[str]:
        """Claim orders until each is begun and ended, or let go; says which no other living worker had."""
        if not ids:
            return set()
        with self._lock, self._redis.pipeline(transaction=False) as claims:
            for id in ids:
                claims.set(CLAIM_KEY + id, self.worker, nx=True, ex=LIFE)
            self._unsaid.update(ids)
            won = {id for id, first in zip(ids, claims.execute(), strict=True) if first}
            self._held |= won
            self._unsaid -= won
        return won

    def begin(self, tenant: str, id: str) -> bool:
        """Set to work on an order; says whether no other living worker had it."""
        if id not in self._held and not self.claim([id]):
            return False
        with self._lock:
            self.board = Board()
            self.unwanted = False
            self._current = tenant, id
        return True

    def leave(self) -> None:
        """Be done with the work on an order; the claim to it is kept until it is let go."""
        with self._lock:
            self._current = None

    def let_go(self, ids: Sequence[str], keys: Sequence[str] = ()) -> None:
        """Give up the claims to orders, begun or not; these Redis keys go with them."""
        if not ids:
            return
        with self._lock:
            self._held.difference_update(ids)
            if self._current is not None and self._current[1] in ids:
                self._current = None
            self._unsaid.update(ids)
            self._delete_claims(ids, keys)
            self._unsaid.difference_update(ids)

    def run(self) -> None:
        """Beat until stopped, whatever Redis and the store do."""
        while True:
            try:
                self.beat()
            except (RedisError, Unavailable) as error:
                log.warning("no sign of life given: %s", error)
            if self._ended.wait(BEAT):
                return

    def stop(self) -> None:
        """End the thread, and say at once that this worker is gone."""
        self._ended.set()
        self.join()
        try:
            self._redis.delete(WORKER_KEY + self.worker)
        except RedisError as error:
            log.warning("left without a word, Redis is away: %s", error)

    def beat(self) -> None:
        """One sign of life. A Redis that is away keeps nobody from seeing that the order is unwanted."""
        try:
            self._sign()
        finally:
            self._look()

    def _sign(self) -> None:
        with self._lock:
            current = self._current
            with self._redis.pipeline(transaction=False) as signs:
                sign = {**self._own, "current": current and current[1]}
                signs.set(WORKER_KEY + self.worker, json.dumps(sign), ex=LIFE)
                for id in self._held:
                    signs.set(CLAIM_KEY + id, self.worker, ex=LIFE)
                if current is not None:
                    signs.hset(PROGRESS_KEY + current[1], mapping=self.board.fields())
                    signs.expire(PROGRESS_KEY + current[1], LIFE)
                    signs.publish(MOVED_CHANNEL, current[1])
                signs.execute()
            self._say_what_was_let_go()

    def _say_what_was_let_go(self) -> None:
        """Give up the claims that Redis, away then, did not hear of; others wait for these orders until they expire."""
        if not self._unsaid:
            return
        ids = list(self._unsaid)
        holders = self._redis.mget([CLAIM_KEY + id for id in ids])
        self._delete_claims([id for id, holder in zip(ids, holders, strict=True) if holder == self.worker.encode()])
        self._unsaid.clear()

    def _delete_claims(self, ids: Sequence[str], keys: Sequence[str] = ()) -> None:
        if ids:
            self._redis.delete(*(prefix + id for id in ids for prefix in (CLAIM_KEY, PROGRESS_KEY)), *keys)

    def _look(self) -> None:
        current = self._current
        if current is not None and self._store.exists(result_key(*current)):
            with self._lock:
                self.unwanted = current == self._current
        # At every beat, not once: the first may come before the work can be interrupted.
        if (self.unwanted or self.ending()) and self.when_unwanted is not None:
            self.when_unwanted()

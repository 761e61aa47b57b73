"""An order into the line of its tenant, in one message to Redis: by the API, and by the reconciler once more."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING

from meta_core.orders import TURNS, WORKER_OF, Order

if TYPE_CHECKING:  # the core runs where there is no Redis
    from redis import Redis
    from rq import Queue

ENQUEUE = """
local new = redis.call('EXISTS', KEYS[1]) == 0
if new then
    redis.call('HSET', KEYS[1], unpack(ARGV, 5))
    redis.call('SADD', KEYS[4], KEYS[2])
    redis.call('RPUSH', KEYS[2], ARGV[1])
end
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[3], ARGV[4])
return new
"""
"""What RQ's `enqueue_call` does with `unique`, and a turn for the tenant unless it has one.

A job that is there already stays as it is: then a reply was lost and the call repeated, or somebody else was faster.
"""


class Queueing:
    """RQ's queues from the side of those who fill them; `line` gives the queue of a name."""

    def __init__(self, redis: "Redis", line: "Callable[[str], Queue]") -> None:
        self.line = line
        self._enqueue = redis.register_script(ENQUEUE)

    def put(self, order: Order) -> bool:
        """Queue an order, once; says no if there was a job for it already. Raises `RedisError`."""
        line = self.line(order.queue)
        job = line.create_job(**{name: value for name, value in order.queue_call().items() if name != "unique"})
        job.enqueued_at = datetime.now(UTC)
        keys = [job.key, line.key, TURNS[WORKER_OF[order.kind]], line.redis_queues_keys]
        return bool(self._enqueue(keys, [job.id, "NX", time.time(), order.tenant, *chain(*job.to_dict().items())]))

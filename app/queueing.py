"""An order into the line of its tenant, in one message to Redis."""

import time
from itertools import chain

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer
from rq.utils import now

from meta_core.orders import TURNS, WORKER_OF, Order

ENQUEUE = """
if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('HSET', KEYS[1], unpack(ARGV, 5))
    redis.call('SADD', KEYS[4], KEYS[2])
    redis.call('RPUSH', KEYS[2], ARGV[1])
end
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[3], ARGV[4])
"""
"""What RQ's `enqueue_call` does with `unique`, and a turn for the tenant unless it has one.

A job that is there already stays as it is: then a reply was lost and the call repeated.
"""


class Queueing:
    """RQ's queues from the side of those who fill them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._enqueue = redis.register_script(ENQUEUE)

    def line(self, name: str) -> Queue:
        """RQ's queue that is the line of a tenant."""
        return Queue(name, connection=self._redis, serializer=JSONSerializer)

    def put(self, order: Order) -> None:
        """Queue an order, once. Raises `RedisError`."""
        line = self.line(order.queue)
        job = line.create_job(**{name: value for name, value in order.queue_call().items() if name != "unique"})
        job.enqueued_at = now()
        keys = [job.key, line.key, TURNS[WORKER_OF[order.kind]], Queue.redis_queues_keys]
        self._enqueue(keys, [job.id, "NX", time.time(), order.tenant, *chain(*job.to_dict().items())])

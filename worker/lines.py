"""Waiting orders: a line for each tenant, served in turns."""

import time
from functools import partial

from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from meta_core.orders import TURNS, Kind, Order, queue_name
from meta_core.queueing import Queueing

TOGETHER = 8
"""Most orders that a worker takes in one turn: how many of another tenant may come before one's own."""
TOGETHER_ON_GPU = 32
"""The same where many take little longer than one."""

POP = """
local waiting = redis.call('LLEN', KEYS[1])
local ids = redis.call('LPOP', KEYS[1], math.max(1, math.min(tonumber(ARGV[1]), math.ceil(waiting / 2))))
if redis.call('EXISTS', KEYS[1]) == 1 then
    redis.call('ZADD', KEYS[2], 'NX', ARGV[2], ARGV[3])
end
return ids
"""
"""Takes at most so many, and half, of a line; a tenant with more in it gets the last place among the tenants."""


class Lines:
    """The orders of one kind that wait. A tenant with a thousand of them delays another's by one turn, not a thousand.

    `TURNS` holds the tenants that have any waiting, the one served longest ago first. A tenant that lost its place
    there in a crash is given it back by the next order it sends, or by the reconciler.
    """

    def __init__(self, kind: Kind, redis: Redis) -> None:
        self.kind: Kind = kind
        self._redis = redis
        self._queueing = Queueing(redis, partial(Queue, connection=redis, serializer=JSONSerializer))
        self._pop = redis.register_script(POP)

    def queue(self, tenant: str) -> Queue:
        """RQ's queue that is the line of a tenant."""
        return self._queueing.line(queue_name(self.kind, tenant))

    def put_again(self, order: Order) -> bool:
        """To the end of its line, whatever is left of its job from before; says no if somebody else just did."""
        self._redis.delete(Job.key_for(order.id))
        return self._queueing.put(order)

    def take(self, most: int, block: float) -> list[Job]:
        """The next orders of the tenant whose turn it is; none if there are none within `block` seconds.

        At most half of what it has waiting, so that other workers find something too.
        """
        turn = self._redis.bzpopmin(TURNS[self.kind], block)
        if not turn:
            return []
        tenant = turn[1].decode()  # type: ignore[union-attr]
        keys = [self.queue(tenant).key, TURNS[self.kind]]
        ids = [id.decode() for id in self._pop(keys, [most, time.time(), tenant]) or ()]
        jobs = Job.fetch_many(ids, connection=self._redis, serializer=JSONSerializer) if ids else []
        return [job for job in jobs if job is not None]  # one without a job is queued anew by the reconciler

    def put_back(self, tenant: str, job: Job) -> None:
        """To the head of its line, as if it had never been taken."""
        with self._redis.pipeline() as back:
            back.persist(job.key)
            back.lpush(self.queue(tenant).key, job.id)
            back.zadd(TURNS[self.kind], {tenant: time.time()}, nx=True)
            back.execute()

    def give_turn(self, tenant: str) -> None:
        """The last place among the tenants, unless it has one."""
        self._redis.zadd(TURNS[self.kind], {tenant: time.time()}, nx=True)

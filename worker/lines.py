"""Waiting orders: a line for each tenant, served in turns."""

import time

from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from meta_core.orders import TURNS, Kind, queue_name

TOGETHER = 8
"""Most orders that a worker takes in one turn: how many of another tenant may come before one's own."""


class Lines:
    """The orders of one kind that wait. A tenant with a thousand of them delays another's by one turn, not a thousand.

    `TURNS` holds the tenants that have any waiting, the one served longest ago first. A tenant that lost its place
    there in a crash is given it back by the next order it sends, or by the reconciler.
    """

    def __init__(self, kind: Kind, redis: Redis) -> None:
        self.kind: Kind = kind
        self._redis = redis

    def queue(self, tenant: str) -> Queue:
        """RQ's queue that is the line of a tenant."""
        return Queue(queue_name(self.kind, tenant), connection=self._redis, serializer=JSONSerializer)

    def take(self, most: int, block: float) -> list[Job]:
        """The next orders of the tenant whose turn it is; none if there are none within `block` seconds.

        At most half of what it has waiting, so that other workers find something too.
        """
        turn = self._redis.bzpopmin(TURNS[self.kind], block)
        if not turn:
            return []
        tenant = turn[1].decode()  # type: ignore[union-attr]
        key = self.queue(tenant).key
        waiting = int(self._redis.llen(key))
        with self._redis.pipeline() as pop:
            pop.lpop(key, max(1, min(most, (waiting + 1) // 2)))
            pop.llen(key)
            ids, left = pop.execute()
        if left:
            self.give_turn(tenant)
        ids = [id.decode() for id in ids or ()]
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

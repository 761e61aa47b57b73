"""The worker: takes orders from one queue and has their jobs done, one at a time, until it is asked to end."""

import logging
from collections.abc import Mapping

from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import DequeueTimeout, DeserializationError
from rq.job import Job
from rq.serializers import JSONSerializer

from meta_core.errors import Unavailable
from meta_core.orders import QUEUES, SECONDS, Kind
from worker import jobs
from worker.connection import pause
from worker.deadline import GRACE, TookTooLong, deadline
from worker.life import Interrupted
from worker.workplace import Workplace

log = logging.getLogger(__name__)

BLOCK = 1
"""Seconds for which the queue is watched in one go: how late an idle worker may notice that it shall end."""


class OrderWorker(SimpleWorker):
    """RQ's way of taking jobs from a queue, ours of doing them.

    RQ records in Redis what became of a job, and re-queues and cleans by that record. Here the store is the record
    and the reconciler re-queues by it, so a job is taken, done and forgotten. Of what a job in Redis says, only its
    id, arguments and time limit are used, and its function's name to look it up in `known`: nothing is imported.
    """

    def __init__(self, kind: Kind, place: Workplace, known: Mapping[str, jobs.Job]) -> None:
        queue = Queue(QUEUES[kind], connection=place.redis, serializer=JSONSerializer)
        name, ttl = place.pulse.worker, BLOCK + 15  # RQ's time to block is its time to live less 15
        super().__init__([queue], name, connection=place.redis, serializer=JSONSerializer, worker_ttl=ttl)
        self.queue = queue
        self.limit = SECONDS[kind]
        self.place = place
        self.known = known

    def work_until_asked_to_end(self, most: int) -> None:
        """Do at most that many orders. Redis may come and go meanwhile."""
        done = failures = 0
        while done < most and not self.place.shutdown.requested:
            try:
                done += self._do_next()
                failures = 0
            except RedisError as error:
                log.warning("Redis is away: %s", error)
                pause(failures)
                failures += 1
        log.info("%s: ends after %d orders", self.name, done)
        self._deregister()

    def _do_next(self) -> bool:
        """Do the next order, if one comes soon; says whether there was one."""
        self._show_in_rq()
        try:
            taken = Queue.dequeue_any([self.queue], BLOCK, self.connection, serializer=JSONSerializer)
        except DequeueTimeout:
            return False
        if taken is None:
            return False
        self.execute_job(*taken)
        return True

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Do one order, unless another worker is at it, and forget the job whatever came of it."""
        try:
            tenant, id = self._checked(job)
        except (DeserializationError, ValueError) as error:
            log.error("refused the job %s: %s", job.id, error)
            return self._forget(job)
        if not self.place.pulse.begin(tenant, id):
            log.info("%s: another worker is at it", id)
            return None
        try:
            self.connection.expire(job.key, self.limit + GRACE)  # should Redis be away when it is to be forgotten
            self._do(job, tenant, id)
        finally:
            self.place.pulse.end()
            self._forget(job)
        return None

    def _checked(self, job: Job) -> tuple[str, str]:
        if job.func_name not in self.known:
            raise ValueError(f"there is no job {job.func_name!r}")
        if len(job.args) != 2 or not all(isinstance(value, str) for value in job.args) or job.args[1] != job.id:
            raise ValueError(f"expected the tenant and id of an order, found {job.args!r}")
        return job.args[0], job.args[1]

    def _do(self, job: Job, tenant: str, id: str) -> None:
        log.info("%s: taken by %s", id, self.name)
        try:
            with deadline(min(self.limit, max(1, int(job.timeout or self.limit)))):
                self.known[str(job.func_name)](tenant, id)
        except (Interrupted, Unavailable, RedisError, TookTooLong) as error:
            log.warning("%s: left open: %s", id, error)
        except Exception:  # the order stays open and its starts are counted; the worker has others to do
            log.exception("%s: left open", id)

    def _show_in_rq(self) -> None:
        """Appear in `rq info`, also after Redis was emptied. What counts is the pulse."""
        if not self.connection.exists(self.key):
            self.register_birth()  # type: ignore[no-untyped-call]
        self.heartbeat()

    def _deregister(self) -> None:
        try:
            self.register_death()  # type: ignore[no-untyped-call]
        except RedisError as error:
            log.warning("left without a word, Redis is away: %s", error)

    def _forget(self, job: Job) -> None:
        with self.connection.pipeline() as forget:
            forget.delete(job.key)
            forget.lrem(self.queue.intermediate_queue_key, 0, job.id)
            forget.execute()

"""The worker: takes orders of one kind and has their jobs done, one after the other, until it is asked to end."""

import logging
import math
import time
from collections.abc import Sequence

from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import DeserializationError
from rq.job import Job
from rq.serializers import JSONSerializer

from meta_core.errors import Unavailable
from meta_core.orders import QUEUES, SECONDS, Kind
from worker import jobs
from worker.closing import Closing
from worker.connection import pause
from worker.deadline import GRACE, TookTooLong, deadline
from worker.life import Interrupted
from worker.lines import TOGETHER, TOGETHER_ON_GPU, Lines
from worker.workplace import Workplace

log = logging.getLogger(__name__)

BLOCK = 1
"""Seconds for which the queue is watched in one go: how late an idle worker may notice that it shall end."""


class OrderWorker(SimpleWorker):
    """RQ's queues and jobs, our way of taking and doing them: a tenant's turn at a time, one order after the other.

    What came of an order is committed while the next one is worked on, see `Closing`.

    RQ records in Redis what became of a job, and re-queues and cleans by that record. Here the store is the record
    and the reconciler re-queues by it, so a job is taken, done and forgotten. Of what a job in Redis says, only its
    id, arguments and time limit are used, and its function's name to look it up in `known`: nothing is imported.
    """

    def __init__(self, kind: Kind, place: Workplace, known: jobs.Known) -> None:
        queue = Queue(QUEUES[kind], connection=place.redis, serializer=JSONSerializer)
        name, ttl = place.pulse.worker, BLOCK + 15  # RQ's time to block is its time to live less 15
        super().__init__([queue], name, connection=place.redis, serializer=JSONSerializer, worker_ttl=ttl)
        self.lines = Lines(kind, place.redis)
        self.closing = Closing(place.pulse, longest=SECONDS[kind] + GRACE)
        on_gpu = place.device.type == "cuda"
        self.together = 1 if kind != "adapt" else TOGETHER_ON_GPU if on_gpu else TOGETHER
        self.limit = SECONDS[kind]
        self.place = place
        self.known = known
        self._shown = -math.inf

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
        self.closing.finish()
        log.info("%s: ends after %d orders", self.name, done)
        self._deregister()

    def _do_next(self) -> int:
        """Do the next orders, if any come soon; says how many were taken."""
        self._show_in_rq()
        self.closing.check()
        taken = self.lines.take(self.together, BLOCK)
        mine = self._claimed(taken)
        try:
            self._let_expire(mine)
            self._look_ahead(mine)
            while mine and not self.place.shutdown.requested and self._execute(mine[0]):
                mine.pop(0)
        finally:
            self.place.pulse.let_go([job.id for job in mine])
        for job in reversed(mine):  # this process shall end
            self.lines.put_back(job.args[0], job)
        return len(taken)

    def _claimed(self, taken: Sequence[Job]) -> list[Job]:
        """Those that are orders, and that no other worker is at."""
        orders = [job for job in taken if self._is_order(job)]
        won = self.place.pulse.claim([job.id for job in orders])
        for job in orders:
            if job.id not in won:
                log.info("%s: another worker is at it", job.id)
        return [job for job in orders if job.id in won]

    def _let_expire(self, mine: Sequence[Job]) -> None:
        """Should Redis be away when they are to be forgotten."""
        with self.connection.pipeline(transaction=False) as expiring:
            for job in mine:
                expiring.expire(job.key, self.limit * len(mine) + GRACE)
            expiring.execute()

    def _look_ahead(self, mine: Sequence[Job]) -> None:
        if len(mine) > 1 and self.known.look_ahead is not None:
            self.known.look_ahead([(job.args[0], job.args[1]) for job in mine])

    def _execute(self, job: Job) -> bool:
        """Do one order, and leave it to be closed whatever came of it; says no if it must wait for another worker."""
        tenant, id = job.args
        self.place.pulse.begin(tenant, id)
        log.info("%s: taken by %s", id, self.name)
        commit = None
        try:
            with deadline(min(self.limit, max(1, int(job.timeout or self.limit)))):
                commit = self.known.jobs[str(job.func_name)](tenant, id)
        except Interrupted as error:
            log.info("%s: put back: %s", id, error)
            return False
        except (Unavailable, RedisError, TookTooLong) as error:
            log.warning("%s: left open: %s", id, error)
        except Exception:  # the order stays open and its starts are counted; the worker has others to do
            log.exception("%s: left open", id)
        finally:
            self.place.pulse.leave()
        self.closing.take(job, commit)
        return True

    def _is_order(self, job: Job) -> bool:
        try:
            self._check(job)
        except (DeserializationError, ValueError) as error:
            log.error("refused the job %s: %s", job.id, error)
            self.connection.delete(job.key)
            return False
        return True

    def _check(self, job: Job) -> None:
        if job.func_name not in self.known.jobs:
            raise ValueError(f"there is no job {job.func_name!r}")
        if len(job.args) != 2 or not all(isinstance(value, str) for value in job.args) or job.args[1] != job.id:
            raise ValueError(f"expected the tenant and id of an order, found {job.args!r}")

    def _show_in_rq(self) -> None:
        """Appear in `rq info`, also after Redis was emptied, at most once a second. What counts is the pulse."""
        if time.monotonic() < self._shown + 1:
            return
        self._shown = time.monotonic()
        if not self.connection.exists(self.key):
            self.register_birth()  # type: ignore[no-untyped-call]
        self.heartbeat()

    def _deregister(self) -> None:
        try:
            self.register_death()  # type: ignore[no-untyped-call]
        except RedisError as error:
            log.warning("left without a word, Redis is away: %s", error)

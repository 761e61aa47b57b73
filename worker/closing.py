"""Orders that are worked out, on their way into the store while the worker is at the next one."""

import faulthandler
import logging
import os
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from redis.exceptions import RedisError
from rq.job import Job

from meta_core.errors import Unavailable
from worker.life import Commit
from worker.pulse import Pulse

log = logging.getLogger(__name__)

MOST = 8
"""Orders that may be on their way at the same time; with more the worker waits."""


class Closing:
    """Commits outcomes on a thread of its own, in the order in which they come, then lets go of the orders.

    The disk and Redis are waited for there, and the claims are kept until it is done. Orders that have gathered
    meanwhile are let go of in one message. A commit may take `longest` seconds.
    """

    def __init__(self, pulse: Pulse, longest: float) -> None:
        self._pulse = pulse
        self._longest = longest
        self._thread = ThreadPoolExecutor(1, "closing")
        self._gathered: deque[tuple[Job, Commit | None]] = deque()
        self._room = threading.Semaphore(MOST)
        self._begun: float | None = None

    def take(self, job: Job, commit: Commit | None) -> None:
        """Commit what was worked out, if anything was, and let go of the order."""
        while not self._room.acquire(timeout=1):
            self.check()
        self._gathered.append((job, commit))
        self._thread.submit(self._close)

    def check(self) -> None:
        """End this process if it has been at one commit for too long: another worker will do the order again."""
        begun = self._begun
        if begun is not None and time.monotonic() > begun + self._longest:
            log.error("the store has not answered for %d s", self._longest)
            faulthandler.dump_traceback()
            os._exit(1)

    def finish(self) -> None:
        """Return once all are closed; there will be no more."""
        self._thread.shutdown()

    def _close(self) -> None:
        jobs = []
        while self._gathered:
            job, commit = self._gathered.popleft()
            self._commit(job, commit)
            jobs.append(job)
            self._room.release()
        try:
            self._pulse.let_go([job.id for job in jobs], [job.key for job in jobs])
        except RedisError as error:
            log.warning("%d orders are closed, but not let go of yet: %s", len(jobs), error)

    def _commit(self, job: Job, commit: Commit | None) -> None:
        if commit is None:
            return
        self._begun = time.monotonic()
        try:
            commit()
        except (Unavailable, RedisError) as error:
            log.warning("%s: left open: %s", job.id, error)
        except Exception:  # the order stays open and its starts are counted
            log.exception("%s: left open", job.id)
        finally:
            self._begun = None

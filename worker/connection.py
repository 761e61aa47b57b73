"""Connections to Redis that tell at once when it is away."""

import logging
import time

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from worker.shutdown import Shutdown

log = logging.getLogger(__name__)

LONGEST_PAUSE = 2.0
"""Seconds between two tries to reach Redis: how late a worker may be back at work, or notice that it shall end."""


def connect(url: str, timeout: float) -> Redis:
    """A client that gives up on an answer after `timeout` seconds, to be longer than any command may block.

    It never repeats a command by itself: one whose reply was lost would be done twice.
    """
    return Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        health_check_interval=15,
        retry=Retry(NoBackoff(), 0),
    )


def pause(failures: int) -> None:
    """Wait after the n-th failure in a row, longer each time."""
    time.sleep(min(LONGEST_PAUSE, 0.1 * 2**failures))


def wait_for_redis(redis: Redis, shutdown: Shutdown) -> bool:
    """Return once Redis answers; False when the process was asked to end before."""
    failures = 0
    while not shutdown.requested:
        try:
            redis.ping()
        except RedisError as error:
            log.warning("waiting for Redis: %s", error)
            pause(failures)
            failures += 1
        else:
            return True
    return False

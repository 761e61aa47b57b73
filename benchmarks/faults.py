"""What can happen to a running service, each thing ended again after a while."""

import random
import signal
import threading
import time
from collections.abc import Callable

from redis.exceptions import RedisError

from benchmarks.ground import Ground, full, unwritable
from worker.pulse import LIFE

Fault = Callable[[Ground, random.Random], None]


def kill_worker(ground: Ground, rng: random.Random) -> None:
    """`kill -9` of one in the middle of its work."""
    rng.choice(ground.workers).kill()


def kill_api(ground: Ground, rng: random.Random) -> None:
    """`kill -9` of one with requests in hand."""
    rng.choice(ground.apis).kill()


def kill_redis(ground: Ground, rng: random.Random) -> None:
    """`kill -9`, away for a moment, started on what it had written."""
    ground.server.kill()
    time.sleep(rng.uniform(0, 1))
    ground.server.start()


def empty_redis(ground: Ground, rng: random.Random) -> None:
    """`kill -9`, and started without its files."""
    ground.server.kill()
    ground.server.forget()
    time.sleep(rng.uniform(0, 1))
    ground.server.start()


def stop_redis(ground: Ground, rng: random.Random) -> None:
    """SIGSTOP: connections are taken and never answered."""
    ground.server.send_signal(signal.SIGSTOP)
    time.sleep(rng.uniform(1, 4))
    ground.server.send_signal(signal.SIGCONT)


def flush_redis(ground: Ground, rng: random.Random) -> None:
    """FLUSHALL."""
    ground.redis.flushall()


def stop_worker(ground: Ground, rng: random.Random) -> None:
    """SIGSTOP of one for so long that its orders are done again by another before it wakes."""
    worker = rng.choice(ground.workers)
    worker.send_signal(signal.SIGSTOP)
    wake = threading.Timer(LIFE + rng.uniform(2, 8), worker.send_signal, [signal.SIGCONT])
    wake.daemon = True
    wake.start()


def fill_disk(ground: Ground, rng: random.Random) -> None:
    """No room in the store, for orders, models and marks alike."""
    filled = full(ground.disk) if ground.disk is not None else unwritable([*ground.apis, *ground.workers])
    with filled:
        time.sleep(rng.uniform(1, 4))


FAULTS: dict[str, Fault] = {
    "worker killed": kill_worker,
    "API killed": kill_api,
    "Redis killed": kill_redis,
    "Redis killed and emptied": empty_redis,
    "Redis stopped": stop_redis,
    "Redis flushed": flush_redis,
    "worker stopped": stop_worker,
    "disk full": fill_disk,
}


def inject(name: str, ground: Ground, rng: random.Random) -> None:
    """Let it happen, and return when it is over."""
    try:
        FAULTS[name](ground, rng)
    except RedisError:  # a FLUSHALL that met a Redis on its way up
        ground.redis.ping()

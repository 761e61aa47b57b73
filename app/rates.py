"""How many adapts a tenant may ask for in a minute, counted in Redis for all processes together."""

import logging
import time

from redis import Redis
from redis.exceptions import RedisError

from app.errors import rate_limit
from meta_core.errors import QuotaExceeded

RATE_KEY = "shotput:rate:"
"""Prefix of the Redis counter of a tenant's adapts in one minute of the clock."""
WINDOW = 60

log = logging.getLogger("shotput.api")


class Rates:
    """Counts; while Redis is away everything is let through, as accepted orders are kept then too."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def count(self, tenant: str, most: int | None) -> dict[str, str]:
        """Count one adapt of at most so many; the headers that tell what is left. Raises `QuotaExceeded`."""
        if most is None:
            return {}
        window, passed = divmod(time.time(), WINDOW)
        key = f"{RATE_KEY}{tenant}:{int(window)}"
        try:
            with self._redis.pipeline() as counting:
                counting.incr(key)
                counting.expire(key, 2 * WINDOW)
                counted = int(counting.execute()[0])
        except RedisError as error:
            log.warning("an adapt of %s was not counted: %s", tenant, error)
            return {}
        reset = max(1, round(WINDOW - passed))
        if counted > most:
            raise QuotaExceeded("adapts", most, WINDOW, reset=reset)
        return rate_limit("adapts", most, WINDOW, left=most - counted, reset=reset)

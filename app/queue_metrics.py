"""What is told of the queues and workers at the moment of asking: read from Redis, kept by no process."""

import logging
import time
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError
from rq import Queue

from app.orders import Orders
from meta_core.ids import seconds_of
from meta_core.orders import QUEUES, TURNS, Kind, queue_name

log = logging.getLogger("shotput.api")


class QueueMetrics(Collector):
    """Depth and age of the queues, and the workers that are alive; without Redis, only that it is away."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    def collect(self) -> Iterator[Metric]:
        """Ask Redis."""
        up = GaugeMetricFamily("shotput_redis_up", "Whether Redis answers.")
        try:
            found = [*self._queues(), self._workers()]
        except RedisError as error:
            log.warning("the queues cannot be measured: %s", error)
            found = []
        up.add_metric([], float(bool(found)))
        yield up
        yield from found

    def _queues(self) -> Iterator[Metric]:
        depth = GaugeMetricFamily("shotput_queue_depth", "Orders that wait.", labels=["queue"])
        age = GaugeMetricFamily(
            "shotput_queue_oldest_age_seconds",
            "Since the acceptance of the order that waits longest.",
            labels=["queue"],
        )
        for kind in QUEUES:
            waiting, oldest = self._line(kind)
            depth.add_metric([kind], waiting)
            age.add_metric([kind], max(0.0, time.time() - oldest) if oldest is not None else 0.0)
        yield depth
        yield age

    def _line(self, kind: Kind) -> tuple[int, float | None]:
        """How many wait in the lines of all tenants, and since when the first of them."""
        tenants: list[bytes] = self._orders.redis.zrange(TURNS[kind], 0, -1)  # type: ignore[assignment]
        with self._orders.redis.pipeline(transaction=False) as lines:
            for tenant in tenants:
                key = Queue.redis_queue_namespace_prefix + queue_name(kind, tenant.decode())
                lines.llen(key)
                lines.lindex(key, 0)
            told = lines.execute()
        heads = [seconds_of(head.decode()) for head in told[1::2] if head]
        return sum(told[0::2]), min(heads, default=None)

    def _workers(self) -> Metric:
        family = GaugeMetricFamily("shotput_workers", "Workers that are alive.", labels=["queue", "state"])
        alive = Counter(
            (worker["queue"], "busy" if worker["current"] else "idle") for worker in self._orders.live_workers()
        )
        for kind in QUEUES:
            for state in ("busy", "idle"):
                family.add_metric([kind, state], alive[kind, state])
        return family


def with_queues(found: CollectorRegistry, orders: Orders) -> CollectorRegistry:
    """A registry that tells of the queues too."""
    both = CollectorRegistry()
    both.register(found)
    both.register(QueueMetrics(orders))
    return both

"""Adapts of one turn that are alike, computed in one pass before each is carried out by itself."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from redis.exceptions import RedisError

from meta_core.ahead import Opened, adapt_together, kinship
from meta_core.engine import Engine
from meta_core.errors import BrokenOff, MetaError
from meta_core.grouping import groups
from meta_core.ids import support_key
from meta_core.orders import SECONDS, Order, load_order
from worker.deadline import deadline
from worker.interrupt import cancellable
from worker.life import count_attempts, forgive_attempts
from worker.workplace import Workplace

EXPECTED = (MetaError, BrokenOff, MemoryError, torch.OutOfMemoryError)
"""No fault of the program: no store, no memory, cancelled, asked to end, out of time."""

log = logging.getLogger(__name__)


class Ahead:
    """What is known of claimed orders before each gets its outcome.

    Only the arithmetic is shared. Each order is then begun, cancelled, counted, scored and committed as one that comes
    alone; whatever goes wrong here, of one order or of all, happens again to those that it concerns, and to no others.
    """

    def __init__(self, place: Workplace, engine: Engine) -> None:
        self._place = place
        self._engine = engine
        self._opened: dict[str, Opened] = {}

    def take(self, id: str) -> Opened | None:
        """What is known of an order, if anything is; it is forgotten here."""
        return self._opened.pop(id, None)

    def look(self, orders: Sequence[tuple[str, str]]) -> None:
        """Compute together what of these, each a tenant and an id, is alike, in the time of one order.

        Raises `RedisError`.
        """
        self._opened.clear()
        try:
            with deadline(SECONDS["adapt"]):
                for alike in self._alike(orders):
                    self._adapt(alike)
        except RedisError:
            raise
        except EXPECTED as error:
            log.warning("%d orders go one by one: %s", len(orders), error)
        except Exception:  # whatever it was of one of them falls on that one, carried out by itself
            log.exception("%d orders go one by one", len(orders))

    def _alike(self, ids: Sequence[tuple[str, str]]) -> Iterator[list[Order]]:
        found = [load_order(self._place.store, tenant, id) for tenant, id in ids]
        orders = [order for order in found if order is not None]
        kin = [self._kinship(order) for order in orders]
        for key, places in groups(kin).items():
            if key is not None and len(places) > 1:
                yield [orders[i] for i in places]

    def _kinship(self, order: Order) -> object | None:
        asked = order.spec["record"]
        base = self._engine.catalogue.at_hand(asked["base"], order.tenant)
        # one that is loaded first is loaded by an order that comes alone, whose starts are counted
        return None if base is None else kinship(base, asked, self._engine.device)

    def _adapt(self, orders: Sequence[Order]) -> None:
        with self._counted(orders) as fresh:
            if len(fresh) < 2:
                return
            with self._watched(fresh):
                opened = [one for order in fresh if (one := self._open(order)) is not None]
                done = adapt_together(opened, self._engine.device)
        self._opened |= {one.order.id: one for one in done}
        log.info("%d orders computed in one pass", sum(one.encoded is not None for one in done))

    def _open(self, order: Order) -> Opened | None:
        try:
            return self._engine.open(order, self._place.store.get(support_key(order.tenant, order.id)))
        except MetaError:
            return None

    @contextmanager
    def _counted(self, orders: Sequence[Order]) -> Iterator[list[Order]]:
        """Those that were not begun before, each counted as begun: should this kill the process, they go alone next."""
        counts = count_attempts(self._place, orders)
        try:
            yield [order for order, count in zip(orders, counts, strict=True) if count == 1]
        finally:
            forgive_attempts(self._place, orders)

    @contextmanager
    def _watched(self, orders: Sequence[Order]) -> Iterator[None]:
        """Ended where the first is cancelled, or the process is to end."""
        pulse = self._place.pulse
        pulse.begin(orders[0].tenant, orders[0].id)
        pulse.board.stage = "adapting"
        try:
            with cancellable(pulse):
                yield
        finally:
            pulse.leave()

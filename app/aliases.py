"""Aliases as one API process knows them: kept in memory until news comes that they changed."""

import threading

from app.orders import Orders
from meta_core.aliases import Alias, delete_alias, load_alias, save_alias
from meta_core.ids import checked_alias
from meta_core.store import Store

MOST_KEPT = 10_000


class Aliases:
    """The store is the truth; a change is told to every process."""

    def __init__(self, store: Store, orders: Orders) -> None:
        self._store = store
        self._orders = orders
        self._kept: dict[str, Alias] = {}
        self._changes = 0
        self._lock = threading.Lock()

    def at_hand(self, tenant: str, name: str) -> Alias | None:
        """What a name stands for, if that is in memory."""
        with self._lock:
            return self._kept.get(f"{tenant}/{name}")

    def get(self, tenant: str, name: str) -> Alias:
        """What a name stands for. Raises `NotFound`."""
        place = f"{tenant}/{checked_alias(name)}"
        with self._lock:
            if place in self._kept:
                return self._kept[place]
            changes = self._changes
        alias = load_alias(self._store, tenant, name)
        with self._lock:
            if changes == self._changes:  # else it may have been changed while it was read
                while len(self._kept) >= MOST_KEPT:
                    self._kept.pop(next(iter(self._kept)))
                self._kept[place] = alias
        return alias

    def put(self, tenant: str, alias: Alias) -> None:
        """Make a name stand for these models in all processes."""
        save_alias(self._store, tenant, alias)
        self._tell(tenant, alias.name)

    def delete(self, tenant: str, name: str) -> None:
        """Forget a name in all processes. Raises `NotFound`."""
        delete_alias(self._store, tenant, name)
        self._tell(tenant, name)

    def forget(self, place: str) -> None:
        """Read an alias anew when it is asked next; anything else that was announced is none of ours."""
        with self._lock:
            self._changes += 1
            self._kept.pop(place, None)

    def clear(self) -> None:
        """Read all anew, for when news may have been missed."""
        with self._lock:
            self._changes += 1
            self._kept.clear()

    def _tell(self, tenant: str, name: str) -> None:
        self.forget(f"{tenant}/{name}")
        self._orders.announce(f"{tenant}/{name}")

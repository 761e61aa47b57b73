"""The base models there are: those that come with the program and those in the store."""

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from meta_core.base import Base, unpack_base
from meta_core.errors import Gone, NotFound, Unavailable
from meta_core.ids import base_key, bases_folder, checked_name, default_key, parse_reference, withdrawn_key
from meta_core.store import Store

SHIPPED = Path(__file__).parent / "bases"
VERSION, WITHDRAWN = "safetensors", "withdrawn"
"""Endings of the keys of a version, and of the mark in the place of one."""


class Catalogue:
    """Versions of base models by name; read once and kept. A version, once made, never changes.

    A tenant sees those that are everybody's and its own. Its own continue the numbers of what it sees, so that of the
    two that a reference could mean its own is the older one, and stays the one that is meant.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[tuple[str | None, str, int], Base] = {}
        self._lock = threading.RLock()
        for path in sorted(SHIPPED.glob("*.safetensors")):
            base = unpack_base(path.read_bytes())
            self._kept[None, base.name, base.version] = base
        self._shipped = frozenset((name, version) for _, name, version in self._kept)

    def get(self, reference: str, tenant: str | None = None) -> Base:
        """A base model by name (its default version) or name@version, as a tenant sees it. Raises `NotFound`."""
        if (kept := self.at_hand(reference, tenant)) is not None:
            return kept
        name, version = parse_reference(reference)
        versions = self._existing(name, tenant)
        if version is None:
            version = self._chosen(name, versions, tenant)
        if version not in versions:
            raise NotFound.among("base model", reference, [f"{name}@{known}" for known in versions])
        return self._load(tenant, name, version)

    def at_hand(self, reference: str, tenant: str | None = None) -> Base | None:
        """A base model by name@version, if that is in memory already."""
        name, version = parse_reference(reference)
        return None if version is None else self._kept.get((tenant, name, version))

    def names(self, tenant: str | None = None) -> list[str]:
        """Names of all base models that a tenant sees."""
        found = (_numbers(self._store.keys(bases_folder(owner))) for owner in _owners(tenant))
        visible = (stored[VERSION] - stored[WITHDRAWN] for stored in found)
        return sorted({name for name, _ in self._shipped.union(*visible)})

    def versions(self, name: str, tenant: str | None = None) -> list[int]:
        """Versions of one base model that a tenant sees, oldest first."""
        found = [self._stored(name, owner) for owner in _owners(tenant)]
        return sorted({version for stored in found for _, version in stored[VERSION] - stored[WITHDRAWN]})

    def list(self, tenant: str | None = None) -> list[Base]:
        """The default version of every base model that a tenant sees."""
        return [self.get(name, tenant) for name in self.names(tenant)]

    def default(self, name: str, tenant: str | None = None) -> int:
        """The version that the bare name means: the one chosen, else the newest. Raises `NotFound`."""
        return self._chosen(name, self._existing(name, tenant), tenant)

    def choose_default(self, name: str, version: int | None, tenant: str | None = None) -> None:
        """Make a version a tenant's default in all processes, at once and durably; None follows the newest again.

        Raises `NotFound` for a version that is not there.
        """
        versions = self._existing(name, tenant)
        if version is not None and version not in versions:
            raise NotFound.among("base model", f"{name}@{version}", [f"{name}@{known}" for known in versions])
        self._store.replace(default_key(name, tenant), json.dumps({"version": version}).encode())

    def publish(self, base: Base, job: str, owner: str | None = None) -> Base:
        """Store a base model as the next version of its name; the same job twice gives the same version."""
        checked_name(base.name)
        for known in self._of_job(base.name, job, owner):
            return known
        for _ in range(100):
            version = 1 + max(self._taken(base.name, owner), default=0)
            numbered = replace(base, version=version, provenance={**base.provenance, "job": job}, owner=owner)
            if self._store.create(base_key(base.name, version, owner), numbered.pack()):
                if owner is None or not self._store.exists(base_key(base.name, version)):
                    return numbered
                self.withdraw(numbered)  # everybody's version of that number came first
            for known in self._of_job(base.name, job, owner):
                return known
        raise Unavailable(f"no version number of {base.name} was free after 100 tries")

    def withdraw(self, base: Base) -> None:
        """Remove a stored version that was cancelled while being published; its number stays taken."""
        if base.owner is None and (base.name, base.version) in self._shipped:
            raise Gone(f"{base.reference} comes with the program and cannot be removed")
        self._store.create(withdrawn_key(base.name, base.version, base.owner), b"")
        self._store.delete(base_key(base.name, base.version, base.owner))
        with self._lock:
            for key in [key for key, kept in self._kept.items() if kept.reference == base.reference]:
                self._kept.pop(key)

    def _existing(self, name: str, tenant: str | None) -> Sequence[int]:
        versions = self.versions(name, tenant)
        if not versions:
            raise NotFound.among("base model", name, self.names(tenant))
        return versions

    def _chosen(self, name: str, versions: Sequence[int], tenant: str | None) -> int:
        for owner in _owners(tenant):
            try:
                chosen = json.loads(self._store.get(default_key(name, owner)))["version"]
            except NotFound:
                continue
            return chosen if chosen in versions else versions[-1]
        return versions[-1]

    def _stored(self, name: str, owner: str | None) -> dict[str, set[tuple[str, int]]]:
        found = _numbers(self._store.keys(f"{bases_folder(owner)}/{checked_name(name)}"))
        if owner is None:
            found[VERSION] |= {known for known in self._shipped if known[0] == name}
        return found

    def _taken(self, name: str, owner: str | None) -> set[int]:
        found = (self._stored(name, folder) for folder in _owners(owner))
        return {version for stored in found for known in stored.values() for _, version in known}

    def _of_job(self, name: str, job: str, owner: str | None) -> Iterator[Base]:
        for version in reversed(self.versions(name, owner)):
            base = self._load(owner, name, version)
            if base.owner == owner and base.provenance.get("job") == job:
                yield base

    def _load(self, tenant: str | None, name: str, version: int) -> Base:
        with self._lock:
            if (tenant, name, version) not in self._kept:
                self._kept[tenant, name, version] = self._read(tenant, name, version)
            return self._kept[tenant, name, version]

    def _read(self, tenant: str | None, name: str, version: int) -> Base:
        try:
            return replace(unpack_base(self._store.get(base_key(name, version, tenant))), owner=tenant)
        except NotFound:
            if tenant is None:
                raise
            return self._load(None, name, version)


def _owners(tenant: str | None) -> Sequence[str | None]:
    """Whose base models a tenant sees, its own before everybody's."""
    return (None,) if tenant is None else (tenant, None)


def _numbers(keys: Iterable[str]) -> dict[str, set[tuple[str, int]]]:
    """Names and version numbers in keys, by what the keys end with."""
    found: dict[str, set[tuple[str, int]]] = {VERSION: set(), WITHDRAWN: set()}
    for key in keys:
        name, file = key.split("/")[-2:]
        number, _, ending = file.partition(".")
        if ending in found:
            found[ending].add((name, int(number)))
    return found

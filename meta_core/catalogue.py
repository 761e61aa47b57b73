"""The base models there are: those that come with the program and those in the store."""

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from meta_core.base import Base, unpack_base
from meta_core.errors import Gone, NotFound, Unavailable
from meta_core.ids import base_key, checked_name, default_key, parse_reference, withdrawn_key
from meta_core.store import Store

SHIPPED = Path(__file__).parent / "bases"
VERSION, WITHDRAWN = "safetensors", "withdrawn"
"""Endings of the keys of a version, and of the mark in the place of one."""


class Catalogue:
    """Versions of base models by name; read once and kept. A version, once made, never changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[tuple[str, int], Base] = {}
        self._lock = threading.Lock()
        for path in sorted(SHIPPED.glob("*.safetensors")):
            base = unpack_base(path.read_bytes())
            self._kept[base.name, base.version] = base
        self._shipped = frozenset(self._kept)

    def get(self, reference: str) -> Base:
        """A base model by name (its default version) or name@version. Raises `NotFound`."""
        name, version = parse_reference(reference)
        if version is not None and (name, version) in self._kept:
            return self._kept[name, version]
        versions = self._existing(name)
        if version is None:
            version = self._chosen(name, versions)
        if version not in versions:
            raise NotFound.among("base model", reference, [f"{name}@{known}" for known in versions])
        return self._load(name, version)

    def names(self) -> list[str]:
        """Names of all base models."""
        stored = _numbers(self._store.keys("bases"))
        return sorted({name for name, _ in stored[VERSION] - stored[WITHDRAWN] | self._shipped})

    def versions(self, name: str) -> list[int]:
        """Versions of one base model, oldest first."""
        stored = self._stored(name)
        return sorted(version for _, version in stored[VERSION] - stored[WITHDRAWN])

    def list(self) -> list[Base]:
        """The default version of every base model."""
        return [self.get(name) for name in self.names()]

    def default(self, name: str) -> int:
        """The version that the bare name means: the one chosen, else the newest. Raises `NotFound`."""
        return self._chosen(name, self._existing(name))

    def choose_default(self, name: str, version: int | None) -> None:
        """Make a version the default for all processes, at once and durably; None follows the newest again.

        Raises `NotFound` for a version that is not there.
        """
        versions = self._existing(name)
        if version is not None and version not in versions:
            raise NotFound.among("base model", f"{name}@{version}", [f"{name}@{known}" for known in versions])
        self._store.replace(default_key(name), json.dumps({"version": version}).encode())

    def _existing(self, name: str) -> Sequence[int]:
        versions = self.versions(name)
        if not versions:
            raise NotFound.among("base model", name, self.names())
        return versions

    def _chosen(self, name: str, versions: Sequence[int]) -> int:
        try:
            chosen = json.loads(self._store.get(default_key(name)))["version"]
        except NotFound:
            chosen = None
        return chosen if chosen in versions else versions[-1]

    def _stored(self, name: str) -> dict[str, set[tuple[str, int]]]:
        found = _numbers(self._store.keys(f"bases/{checked_name(name)}"))
        found[VERSION] |= {known for known in self._shipped if known[0] == name}
        return found

    def publish(self, base: Base, job: str) -> Base:
        """Store a base model as the next version of its name; the same job twice gives the same version."""
        checked_name(base.name)
        for known in self._of_job(base.name, job):
            return known
        for _ in range(100):
            version = max((n for found in self._stored(base.name).values() for _, n in found), default=0) + 1
            numbered = replace(base, version=version, provenance={**base.provenance, "job": job})
            if self._store.create(base_key(base.name, version), numbered.pack()):
                return numbered
            for known in self._of_job(base.name, job):
                return known
        raise Unavailable(f"no version number of {base.name} was free after 100 tries")

    def withdraw(self, base: Base) -> None:
        """Remove a stored version that was cancelled while being published; its number stays taken."""
        if (base.name, base.version) in self._shipped:
            raise Gone(f"{base.reference} comes with the program and cannot be removed")
        self._store.create(withdrawn_key(base.name, base.version), b"")
        self._store.delete(base_key(base.name, base.version))
        with self._lock:
            self._kept.pop((base.name, base.version), None)

    def _of_job(self, name: str, job: str) -> Iterator[Base]:
        for version in reversed(self.versions(name)):
            base = self._load(name, version)
            if base.provenance.get("job") == job:
                yield base

    def _load(self, name: str, version: int) -> Base:
        with self._lock:
            if (name, version) not in self._kept:
                self._kept[name, version] = unpack_base(self._store.get(base_key(name, version)))
            return self._kept[name, version]


def _numbers(keys: Iterable[str]) -> dict[str, set[tuple[str, int]]]:
    """Names and version numbers in keys, by what the keys end with."""
    found: dict[str, set[tuple[str, int]]] = {VERSION: set(), WITHDRAWN: set()}
    for key in keys:
        _, name, file = key.split("/")
        number, _, ending = file.partition(".")
        if ending in found:
            found[ending].add((name, int(number)))
    return found

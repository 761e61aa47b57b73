"""The base models there are: those that come with the program and those in the store."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from meta_core.base import Base, unpack_base
from meta_core.errors import Gone, NotFound, Unavailable
from meta_core.ids import base_key, checked_name, parse_reference
from meta_core.store import Store

SHIPPED = Path(__file__).parent / "bases"


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
        """A base model by name (its newest version) or name@version. Raises `NotFound`."""
        name, version = parse_reference(reference)
        if version is not None and (name, version) in self._kept:
            return self._kept[name, version]
        versions = self.versions(name)
        if not versions:
            raise NotFound.among("base model", name, self.names())
        if version is None:
            version = versions[-1]
        if version not in versions:
            raise NotFound.among("base model", reference, [f"{name}@{known}" for known in versions])
        return self._load(name, version)

    def names(self) -> list[str]:
        """Names of all base models."""
        stored = {key.split("/")[1] for key in self._store.keys("bases")}
        return sorted(stored | {name for name, _ in self._shipped})

    def versions(self, name: str) -> list[int]:
        """Versions of one base model, oldest first."""
        stored = {int(key.rsplit("/", 1)[1].split(".")[0]) for key in self._store.keys(f"bases/{checked_name(name)}")}
        return sorted(stored | {version for known, version in self._shipped if known == name})

    def list(self) -> list[Base]:
        """The newest version of every base model."""
        return [self.get(name) for name in self.names()]

    def publish(self, base: Base, job: str) -> Base:
        """Store a base model as the next version of its name; the same job twice gives the same version."""
        checked_name(base.name)
        for known in self._of_job(base.name, job):
            return known
        for _ in range(100):
            version = max(self.versions(base.name), default=0) + 1
            numbered = replace(base, version=version, provenance={**base.provenance, "job": job})
            if self._store.create(base_key(base.name, version), numbered.pack()):
                return numbered
            for known in self._of_job(base.name, job):
                return known
        raise Unavailable(f"no version number of {base.name} was free after 100 tries")

    def withdraw(self, base: Base) -> None:
        """Remove a stored version that was cancelled while being published."""
        if (base.name, base.version) in self._shipped:
            raise Gone(f"{base.reference} comes with the program and cannot be removed")
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

"""API keys: shown once when they are made, kept as hashes in the store."""

import datetime
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace

from app.caller import SCOPES, Caller
from meta_core.errors import InvalidParameter, NotFound
from meta_core.ids import checked_tenant
from meta_core.store import Store

FOLDER = "keys"
TEXT = re.compile(r"sk_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, kw_only=True)
class Key:
    """What is kept of an API key; times as RFC 3339 in UTC. The hash is SHA-256: the secret has 256 random bits."""

    id: str
    hash: str
    tenant: str
    scopes: list[str]
    name: str | None
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None

    def opens_with(self, text: str) -> bool:
        """Whether it is this key; in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(self.hash, _hash(text))

    def status(self) -> str:
        """`active`, `revoked` or `expired`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= _after(0) else "active"

    def caller(self) -> Caller:
        """Who asks with it."""
        return Caller(tenant=self.tenant, key=self.id, scopes=SCOPES.intersection(self.scopes))


def create(store: Store, tenant: str, scopes: Iterable[str], name: str | None, seconds: int | None) -> tuple[Key, str]:
    """A new key, and the text that is told this once. `seconds` is how long it is good for."""
    granted = sorted(set(scopes))
    if not granted or not SCOPES.issuperset(granted):
        raise InvalidParameter(f"scopes are {', '.join(sorted(SCOPES))}; found {', '.join(granted) or 'none'}")
    id = secrets.token_hex(8)
    text = f"sk_{id}_{secrets.token_urlsafe(32)}"
    key = Key(
        id=id,
        hash=_hash(text),
        tenant=checked_tenant(tenant),
        scopes=granted,
        name=name,
        created_at=_after(0),
        expires_at=None if seconds is None else _after(seconds),
    )
    store.create(_path(id), _packed(key))
    return key, text


def load(store: Store, id: str) -> Key:
    """What is kept of a key. Raises `NotFound`."""
    if not re.fullmatch("[0-9a-f]{16}", id):
        raise NotFound(f"{id[:80]!r} is no id of an API key; they have 16 hexadecimal digits")
    return Key(**json.loads(store.get(_path(id))))


def listed(store: Store) -> Iterator[Key]:
    """All keys, revoked and expired ones too, oldest first."""
    found = (Key(**json.loads(store.get(path))) for path in store.keys(FOLDER))
    return iter(sorted(found, key=lambda key: key.created_at))


def revoke(store: Store, id: str) -> Key:
    """End a key for good. Its record stays: a service whose last key was revoked lets nobody in."""
    key = load(store, id)
    if key.revoked_at is None:
        key = replace(key, revoked_at=_after(0))
        store.replace(_path(id), _packed(key))
    return key


def rotate(store: Store, id: str, seconds: int) -> tuple[Key, str]:
    """A new key in the place of one, which ends after so many seconds."""
    old = load(store, id)
    if old.status() != "active":
        raise InvalidParameter(f"the key {id} is {old.status()}; create a new one")
    key, text = create(store, old.tenant, old.scopes, old.name, None)
    key = replace(key, expires_at=old.expires_at)
    store.replace(_path(key.id), _packed(key))
    if seconds <= 0:
        revoke(store, id)
    else:
        ends = min(filter(None, [_after(seconds), old.expires_at]))
        store.replace(_path(id), _packed(replace(old, expires_at=ends)))
    return key, text


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _path(id: str) -> str:
    return f"{FOLDER}/{id}.json"


def _packed(key: Key) -> bytes:
    return json.dumps(asdict(key)).encode()


def _after(seconds: int) -> str:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")

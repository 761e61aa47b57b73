"""Aliases: names of a client's own for adapted models, which may be moved, and may split their questions."""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from meta_core.errors import InvalidRequest, NotFound
from meta_core.ids import alias_key, aliases_folder
from meta_core.store import Store

MOST_MODELS = 20


@dataclass(frozen=True, kw_only=True)
class Alias:
    """A name for the models [id → weight] that share its questions. Raises `InvalidRequest` for impossible weights."""

    name: str
    models: dict[str, float]
    updated_at: str

    def __post_init__(self) -> None:
        if not 0 < len(self.models) <= MOST_MODELS:
            raise InvalidRequest(f"an alias stands for 1–{MOST_MODELS} models; found {len(self.models)}")
        for id, weight in self.models.items():
            if not 1e-6 <= weight <= 1e6:
                raise InvalidRequest(f"a weight lies between 1e-6 and 1e6; that of {id} is {weight:g}")

    def pick(self, key: str) -> str:
        """The model for questions with this key: always the same one while the weights are.

        Weighted rendezvous hashing: when a weight grows, keys move to that model only, and none between the others.
        """
        return min(self.models, key=lambda model: -math.log(_uniform(key, model)) / self.models[model])


def _uniform(*parts: str) -> float:
    """A number in (0, 1) that these parts always give."""
    digest = hashlib.sha256(chr(0).join(parts).encode(errors="surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") + 0.5) / 2**64


def save_alias(store: Store, tenant: str, alias: Alias) -> None:
    """Make a name stand for these models from now on, durably and in one step."""
    store.replace(alias_key(tenant, alias.name), json.dumps(asdict(alias), allow_nan=False).encode())


def load_alias(store: Store, tenant: str, name: str) -> Alias:
    """What a name stands for. Raises `NotFound`."""
    try:
        return Alias(**json.loads(store.get(alias_key(tenant, name))))
    except NotFound:
        raise NotFound(f"there is no alias {name!r}; ids of models read mdl_… with 32 hexadecimal digits") from None


def aliases_of(store: Store, tenant: str) -> Iterator[Alias]:
    """All aliases of a tenant, by name."""
    for key in sorted(store.keys(aliases_folder(tenant))):
        try:
            yield load_alias(store, tenant, key.rsplit("/", 1)[-1].removesuffix(".json"))
        except NotFound:  # removed just now
            continue


def delete_alias(store: Store, tenant: str, name: str) -> None:
    """Forget a name. Raises `NotFound`."""
    load_alias(store, tenant, name)
    store.delete(alias_key(tenant, name))

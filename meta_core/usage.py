"""What a tenant has in the store, from one listing of it."""

from dataclasses import dataclass

from meta_core.ids import checked_tenant
from meta_core.store import Store


@dataclass(frozen=True)
class Usage:
    """Adapted models, as `GET /models` lists them (queued and failed ones too), and bytes of all objects."""

    models: int
    bytes: int


def measured(store: Store, tenant: str) -> Usage:
    """What a tenant has. Deleted models are no models; the few bytes of their marks count."""
    # orders bring PyTorch, which the command line reads quotas without
    from meta_core.orders import size_of_mark  # noqa: PLC0415

    mark = size_of_mark(tenant)
    models: set[str] = set()
    total = 0
    for key, size in store.sizes(checked_tenant(tenant)):
        total += size
        folder, _, name = key.partition("/")[2].partition("/")
        # every other outcome is longer than the mark of a deletion, so that no object has to be read
        if name.startswith("mdl_") and (folder == "orders" or (folder == "models" and size > mark)):
            models.add(name.split(".")[0])
    return Usage(len(models), total)

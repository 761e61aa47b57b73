"""Ids, names and the keys of the store made from them: checked here and nowhere else."""

import hashlib
import re
import secrets
import time

from meta_core.errors import NotFound

ID = re.compile(r"(mdl|job|dst)_[0-9a-f]{32}")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
DEFAULT_TENANT = "default"
"""Who asks where nobody is asked who they are: a service without API keys, the command line on this machine."""
RESERVED = frozenset({"bases", "checks", "keys", "tenants"})
"""Folders at the top of the store that belong to no tenant."""
SELECTION_KEY = "selection.json"
"""What a deployment has learned about which learner to take."""
REFERENCE = re.compile(rf"({NAME.pattern})(?:@([1-9][0-9]{{0,8}}))?")


def new_id(prefix: str) -> str:
    """A new id, `prefix` and a UUIDv7: sorting ids sorts by time."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76  # version 7
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return f"{prefix}_{value:032x}"


def seconds_of(id: str) -> float:
    """When a new id was made, in seconds since 1970."""
    return int(id.partition("_")[2][:12], 16) / 1000


def derived_id(prefix: str, *parts: str) -> str:
    """The id that these parts always give."""
    return f"{prefix}_{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}"


def id_within(order: str, prefix: str, *parts: str) -> str:
    """The id that these parts always give within an order, sorted beside it."""
    time_digits = checked_id(order).partition("_")[2][:12]
    return f"{prefix}_{time_digits}{derived_id(prefix, order, *parts)[-20:]}"


def checked_id(id: str) -> str:
    """The id itself. Raises `NotFound` for text that cannot be one."""
    if not ID.fullmatch(id):
        raise NotFound(f"{id[:80]!r} is no id; ids read mdl_…, job_… or dst_… with 32 hexadecimal digits")
    return id


def checked_name(name: str) -> str:
    """The name itself. Raises `NotFound` for text that cannot be one."""
    if not NAME.fullmatch(name):
        raise NotFound(
            f"{name[:80]!r} is no name; names are 1–63 of a–z, 0–9, _ and -, beginning with a letter or digit"
        )
    return name


def is_id(text: str) -> bool:
    """Whether text is meant as an id, well-formed or not."""
    return text.startswith(("mdl_", "job_", "dst_"))


def checked_alias(name: str) -> str:
    """The name itself. Raises `NotFound` for text that cannot name an alias."""
    if is_id(checked_name(name)):
        raise NotFound(f"{name!r} can be no alias: it begins as ids do")
    return name


def checked_tenant(name: str) -> str:
    """The name itself. Raises `NotFound` for text that cannot name a tenant."""
    if checked_name(name) in RESERVED:
        raise NotFound(f"{name!r} can be no tenant's name; taken are: {', '.join(sorted(RESERVED))}")
    return name


def parse_reference(reference: str) -> tuple[str, int | None]:
    """Name and version of "name" or "name@3". Raises `NotFound`."""
    found = REFERENCE.fullmatch(reference)
    if not found:
        raise NotFound(f"{reference[:80]!r} is no base model; they read name or name@version")
    return found[1], int(found[2]) if found[2] else None


def order_key(tenant: str, id: str) -> str:
    """Where an accepted, unfinished order lies."""
    return f"{checked_tenant(tenant)}/orders/{checked_id(id)}.json"


def support_key(tenant: str, id: str) -> str:
    """Where the support set of an adapted model lies."""
    return f"{checked_tenant(tenant)}/supports/{checked_id(id)}.safetensors"


def lineage_folder(tenant: str, id: str) -> str:
    """Where it lies which models came of a first one by changes of its support set."""
    return f"{checked_tenant(tenant)}/lineages/{checked_id(id)}"


def lineage_key(tenant: str, first: str, id: str) -> str:
    """Where it lies that a model came of that first one."""
    return f"{lineage_folder(tenant, first)}/{checked_id(id)}"


def result_key(tenant: str, id: str) -> str:
    """Where the one outcome of an order lies: an adapted model, or what became of a job."""
    folder = "models" if checked_id(id).startswith("mdl_") else "jobs"
    return f"{checked_tenant(tenant)}/{folder}/{id}.safetensors"


def checkpoint_key(tenant: str, id: str) -> str:
    """Where a running meta-training keeps its last checkpoint."""
    return f"{checked_tenant(tenant)}/checkpoints/{checked_id(id)}.safetensors"


def request_key(tenant: str, digest: str) -> str:
    """Where it lies which order a request with an idempotency key made."""
    return f"{checked_tenant(tenant)}/requests/{digest}.json"


def aliases_folder(tenant: str) -> str:
    """Where a tenant's aliases lie."""
    return f"{checked_tenant(tenant)}/aliases"


def alias_key(tenant: str, name: str) -> str:
    """Where it lies which models an alias stands for."""
    return f"{aliases_folder(tenant)}/{checked_alias(name)}.json"


def content_of_model_key(tenant: str, digest: str) -> str:
    """Where it lies which adapted model was made of certain examples and settings."""
    return f"{checked_tenant(tenant)}/contents/{digest}.json"


def bases_folder(owner: str | None) -> str:
    """Where the base models of one tenant lie, or those that are everybody's."""
    return "bases" if owner is None else f"{checked_tenant(owner)}/bases"


def dataset_folder(tenant: str, id: str = "") -> str:
    """Where a tenant's datasets lie, or one of them."""
    return f"{checked_tenant(tenant)}/datasets" + (f"/{checked_id(id)}" if id else "")


def card_key(tenant: str, id: str) -> str:
    """Where the description of a dataset lies; with it, the dataset is there."""
    return f"{dataset_folder(tenant, id)}/card.json"


def content_key(tenant: str, id: str, digest: str) -> str:
    """Where the file of a dataset lies, named by what is in it."""
    return f"{dataset_folder(tenant, id)}/{digest}"


def base_key(name: str, version: int, owner: str | None = None) -> str:
    """Where a version of a base model lies."""
    return f"{bases_folder(owner)}/{checked_name(name)}/{version:09d}.safetensors"


def withdrawn_key(name: str, version: int, owner: str | None = None) -> str:
    """Where the mark lies that a version was withdrawn; its number is not given again."""
    return f"{bases_folder(owner)}/{checked_name(name)}/{version:09d}.withdrawn"


def default_key(name: str, owner: str | None = None) -> str:
    """Where the choice of a base model's default version lies."""
    return f"{bases_folder(owner)}/{checked_name(name)}/default.json"

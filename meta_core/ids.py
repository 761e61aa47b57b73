"""Ids, names and the keys of the store made from them: checked here and nowhere else."""

import re
import secrets
import time

from meta_core.errors import NotFound

ID = re.compile(r"(mdl|job)_[0-9a-f]{32}")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
REFERENCE = re.compile(rf"({NAME.pattern})(?:@([1-9][0-9]{{0,8}}))?")


def new_id(prefix: str) -> str:
    """A new id, `prefix` and a UUIDv7: sorting ids sorts by time."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76  # version 7
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return f"{prefix}_{value:032x}"


def checked_id(id: str) -> str:
    """The id itself. Raises `NotFound` for text that cannot be one."""
    if not ID.fullmatch(id):
        raise NotFound(f"{id[:80]!r} is no id; ids read mdl_… or job_… with 32 hexadecimal digits")
    return id


def checked_name(name: str) -> str:
    """The name itself. Raises `NotFound` for text that cannot be one."""
    if not NAME.fullmatch(name):
        raise NotFound(
            f"{name[:80]!r} is no name; names are 1–63 of a–z, 0–9, _ and -, beginning with a letter or digit"
        )
    return name


def parse_reference(reference: str) -> tuple[str, int | None]:
    """Name and version of "name" or "name@3". Raises `NotFound`."""
    found = REFERENCE.fullmatch(reference)
    if not found:
        raise NotFound(f"{reference[:80]!r} is no base model; they read name or name@version")
    return found[1], int(found[2]) if found[2] else None


def order_key(tenant: str, id: str) -> str:
    """Where an accepted, unfinished order lies."""
    return f"{checked_name(tenant)}/orders/{checked_id(id)}.json"


def support_key(tenant: str, id: str) -> str:
    """Where the support set of an adapted model lies."""
    return f"{checked_name(tenant)}/supports/{checked_id(id)}.safetensors"


def result_key(tenant: str, id: str) -> str:
    """Where the one outcome of an order lies: an adapted model, or what became of a job."""
    folder = "models" if checked_id(id).startswith("mdl_") else "jobs"
    return f"{checked_name(tenant)}/{folder}/{id}.safetensors"


def checkpoint_key(tenant: str, id: str) -> str:
    """Where a running meta-training keeps its last checkpoint."""
    return f"{checked_name(tenant)}/checkpoints/{checked_id(id)}.safetensors"


def base_key(name: str, version: int) -> str:
    """Where a version of a base model lies."""
    return f"bases/{checked_name(name)}/{version:09d}.safetensors"


def withdrawn_key(name: str, version: int) -> str:
    """Where the mark lies that a version was withdrawn; its number is not given again."""
    return f"bases/{checked_name(name)}/{version:09d}.withdrawn"


def default_key(name: str) -> str:
    """Where the choice of a base model's default version lies."""
    return f"bases/{checked_name(name)}/default.json"

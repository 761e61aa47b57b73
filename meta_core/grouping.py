"""What is alike."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import TypeVar

H = TypeVar("H", bound=Hashable)


def groups(keys: Iterable[H]) -> dict[H, list[int]]:
    """The positions of each key."""
    found: dict[H, list[int]] = defaultdict(list)
    for position, key in enumerate(keys):
        found[key].append(position)
    return found

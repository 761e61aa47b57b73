"""How much one request may ask for."""

from dataclasses import dataclass

from meta_core.errors import LimitExceeded


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upper bounds; each is named in the error of a request that passes it."""

    max_ways: int = 200
    max_examples: int = 5_000
    max_queries: int = 5_000
    max_pixels: int = 16_000_000
    max_columns: int = 1_000
    max_body_bytes: int = 64_000_000

    def check(self, what: str, found: int, limit: str) -> None:
        """Raises `LimitExceeded` when `found` is more than the limit of that name."""
        most: int = getattr(self, limit)
        if found > most:
            raise LimitExceeded(what, found, limit, most)

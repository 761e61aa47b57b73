"""How much one request may ask for."""

from dataclasses import dataclass

from meta_core.errors import LimitExceeded

LARGEST_NUMBER = 1e15
"""Inputs and targets stay below, so that sums of their squares are finite in float32."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upper bounds; each is named in the error of a request that passes it."""

    max_ways: int = 200
    max_examples: int = 5_000
    max_queries: int = 5_000
    max_pixels: int = 16_000_000
    max_total_pixels: int = 200_000_000
    max_seconds: int = 600
    max_samples: int = 30_000_000
    max_total_samples: int = 100_000_000
    max_steps: int = 100_000
    max_channels: int = 64
    max_columns: int = 1_000
    max_features: int = 2_000
    max_body_bytes: int = 32_000_000
    max_dataset_bytes: int = 2_000_000_000
    max_dataset_unpacked_bytes: int = 8_000_000_000
    max_dataset_members: int = 500_000
    max_dataset_ratio: int = 200

    def check(self, what: str, found: int, limit: str) -> None:
        """Raises `LimitExceeded` when `found` is more than the limit of that name."""
        most: int = getattr(self, limit)
        if found > most:
            raise LimitExceeded(what, found, limit, most)

"""A case is one damaged input that something takes in.

It passes when it ends in success or in an error that a caller can understand and that is a 4xx; anything else is a
finding.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from app.errors import status_of
from meta_core.errors import MetaError
from meta_core.limits import Limits

LIMITS = Limits(
    max_body_bytes=2_000_000,
    max_pixels=1_000_000,
    max_total_pixels=4_000_000,
    max_samples=1_000_000,
    max_total_samples=4_000_000,
    max_dataset_bytes=2_000_000,
    max_dataset_unpacked_bytes=4_000_000,
    max_dataset_members=1_000,
)


@dataclass
class Tally:
    """What became of the cases of one kind."""

    accepted: int = 0
    refused: int = 0
    findings: list[str] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def cases(self) -> int:
        """All of them."""
        return self.accepted + self.refused + len(self.findings)


Case = Callable[[random.Random], bool]
"""Takes one damaged input in; whether it was accepted. Raises what the decoder raises."""


def run(kind: Case, count: int, seed: int, most_findings: int = 20) -> Tally:
    """Try that many cases of one kind."""
    tally = Tally()
    for number in range(count):
        started = time.perf_counter()
        try:
            accepted = kind(random.Random(f"{seed} {number}"))
        except Exception as error:
            if isinstance(error, MetaError) and 400 <= status_of(error) < 500:
                accepted = False
            else:
                tally.findings.append(f"case {number}: {type(error).__module__}.{type(error).__name__}: {error}"[:500])
                if len(tally.findings) >= most_findings:
                    break
                continue
        tally.accepted += accepted
        tally.refused += not accepted
        tally.slowest = max(tally.slowest, time.perf_counter() - started)
    return tally

"""Two or more sides timed in turns on one thread, so that what else the machine does falls on all of them alike."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

Seconds = dict[str, list[float]]


def in_turns(
    sides: Mapping[str, Callable[[], Any]], rounds: int, warm: int = 5, clock: Callable[[], float] = time.process_time
) -> Seconds:
    """Seconds for each call, round by round; by default CPU time of this process."""
    taken: Seconds = {name: [] for name in sides}
    for turn in range(warm + rounds):
        for name, call in sides.items():
            started = clock()
            call()
            if turn >= warm:
                taken[name].append(clock() - started)
    return taken


def row(what: str, taken: Seconds, ours: str, theirs: str, wanted: str) -> dict[str, Any]:
    """Both medians, the median of the ratios theirs / ours within a round, and what was wanted of it."""
    ratios = [b / a for a, b in zip(taken[ours], taken[theirs], strict=True)]
    return {
        "what": what,
        "ours": ours,
        "theirs": theirs,
        "ours_ms": 1e3 * statistics.median(taken[ours]),
        "theirs_ms": 1e3 * statistics.median(taken[theirs]),
        "ratio": statistics.median(ratios),
        "wanted": wanted,
        "rounds": len(ratios),
        "load": os.getloadavg()[0],
    }

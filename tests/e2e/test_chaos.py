"""A small share of `benchmarks/chaos.py`: the service is broken at random, and the books balance."""

import random
import tempfile
from pathlib import Path

from benchmarks.chaos import run

KINDS = ["worker killed", "Redis flushed", "disk full", "API killed", "Redis stopped", "Redis killed and emptied"]


def test_what_is_accepted_while_everything_breaks_is_finished_once_and_the_same() -> None:
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:
        books = run(Path(folder), 60, KINDS, random.Random(0), apis=1)
    assert (books["accepted"], books["faults"]) == (60, len(KINDS)), books
    assert (books["ready"], books["lost"], books["doubled"], books["different answers"]) == (60, 0, 0, 0), books

"""A rolling restart of the API under load, `benchmarks/rolling.py` made small."""

import tempfile
from pathlib import Path

from benchmarks.rolling import run


def test_a_rolling_restart_loses_no_request() -> None:
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:
        books = run(Path(folder), clients=3, workers=1)
    assert books["adapts"] > 3, books
    assert books["predictions"] > 3, books
    assert (books["unanswered"], books["lost"], books["doubled"]) == (0, 0, 0), books

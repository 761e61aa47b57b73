"""Every test has a site of its own, and no process of it survives."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.site import Site


@pytest.fixture
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:  # short: a unix socket lies in it
        site = Site(Path(folder))
        try:
            yield site
        finally:
            site.close()

"""Every test has a site of its own, and no process of it survives."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from meta_core.catalogue import Catalogue
from tests.worker.site import Site
from worker.pulse import Pulse
from worker.shutdown import Shutdown
from worker.workplace import Workplace


@pytest.fixture
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:  # short: a unix socket lies in it
        site = Site(Path(folder))
        try:
            yield site
        finally:
            site.close()


@pytest.fixture
def place(site: Site) -> Iterator[Workplace]:
    """What an adapting worker works with, in this process."""
    with site.server.client() as redis:
        yield Workplace(
            store=site.store,
            catalogue=Catalogue(site.store),
            redis=redis,
            pulse=Pulse(redis, site.store, "adapt", "tester"),
            shutdown=Shutdown(),
            device=torch.device("cpu"),
            datasets_folder=site.folder,
        )

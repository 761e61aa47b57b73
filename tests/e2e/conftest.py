"""One service for the tests that leave it whole, one each for those that break it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service import Service


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    yield from _running(SHOTPUT_LOG_FORMAT="json")


@pytest.fixture(scope="session")
def trainer(service: Service) -> Service:
    """The same with a worker for meta-training and other long work."""
    service.ready_worker("meta-train")
    return service


@pytest.fixture
def fragile_service() -> Iterator[Service]:
    yield from _running()


@pytest.fixture(scope="module")
def guarded_service() -> Iterator[Service]:
    """For tests that make API keys; its cache holds one adapted model, so that they come and go."""
    yield from _running(SHOTPUT_CACHE_BYTES="1")


def _running(**settings: str) -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:
        service = Service(Path(folder), SHOTPUT_MAX_WAYS="20", SHOTPUT_MAX_BODY_BYTES="3000000", **settings)
        try:
            service.start()
            yield service
        finally:
            service.close()

"""A whole service to be broken: Redis, API processes and workers; what dies is started again, as anybody's would be."""

import contextlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx

from meta_core.store import Store
from tests.running import free_port
from tests.worker.site import Process, Site, until

FILLER = "filler"
"""File that makes the store's disk full."""


class Ground(Site):
    """`apis` and `workers` are replaced within a tenth of a second of their death; Redis by whoever killed it.

    `disk` is the file system of the store, where it has one of its own.
    """

    def __init__(
        self, folder: Path, *, apis: int = 2, workers: int = 2, disk: Path | None = None, **settings: str
    ) -> None:
        super().__init__(folder)
        self.disk = disk
        self.settings = settings
        if url := settings.get("SHOTPUT_STORE"):
            self.store = Store(url)
        self.ports = [free_port() for _ in range(apis)]
        self.urls = [f"http://127.0.0.1:{port}" for port in self.ports]
        self.apis = [self._start_api(port) for port in self.ports]
        for _ in range(workers):
            self.start_worker("adapt", **settings)
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep)
        self._keeper.start()

    def wait_until_ready(self) -> None:
        """Return once every API process says so."""
        for url in self.urls:
            until(lambda url=url: ready(url), seconds=300)

    def close(self) -> None:
        """Kill everything."""
        self._ended.set()
        self._keeper.join()
        for api in self.apis:
            api.kill()
            api.wait()
        super().close()

    def _start_api(self, port: int) -> Process:
        paths = {"SHOTPUT_HOME": str(self.folder), "SHOTPUT_REDIS_URL": self.server.url, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "uvicorn", "app.main:build", "--factory", "--port", str(port)]
        with (self.folder / "api.log").open("ab") as log:
            return subprocess.Popen(command, env={**os.environ, **paths, **self.settings}, stdout=log, stderr=log)

    def _keep(self) -> None:
        while not self._ended.wait(0.1):
            for i, api in enumerate(self.apis):
                if api.poll() is not None:
                    self.apis[i] = self._start_api(self.ports[i])
            for worker in [worker for worker in self.workers if worker.poll() is not None]:
                self.workers.remove(worker)
                self.start_worker("adapt", **self.settings)


def ready(url: str) -> bool:
    """Whether Redis, the store and a worker answer through this process."""
    try:
        return httpx.get(f"{url}/readyz", trust_env=False, timeout=30).is_success
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "256m") -> Iterator[bool]:
    """A file system of its own at the folder, small enough to be filled; says whether the system allowed that."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "shotput", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """Not a page is left on the file system of the folder meanwhile."""
    path = folder / FILLER
    try:
        with path.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass
        yield
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def unwritable(processes: list[Process]) -> Iterator[None]:
    """What a full disk is to these processes, where none can be made: not a byte can be written to any file."""
    _limit_files(processes, 0)
    try:
        yield
    finally:
        _limit_files(processes, resource.RLIM_INFINITY)


def _limit_files(processes: list[Process], most: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # killed meanwhile; its successor has no limit
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

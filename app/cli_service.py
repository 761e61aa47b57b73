"""The service's processes: `shotput up`, `api` and `worker`."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

from typer import Option

from app import processes, supervisor
from app.processes import Part
from app.settings import Settings

HostOption = Annotated[str | None, Option(help="Address to listen on.", show_default="SHOTPUT_HOST")]
PortOption = Annotated[int | None, Option(help="Port to listen on.", show_default="SHOTPUT_PORT")]


def up(
    *,
    host: HostOption = None,
    port: PortOption = None,
    restart: Annotated[bool | None, Option(help="Replace a worker that died.", show_default="SHOTPUT_RESTART")] = None,
) -> None:
    """Run the whole service until Ctrl-C: Redis, the API, and the workers."""
    supervisor.run(_settings(host=host, port=port, restart=restart))


def api(*, host: HostOption = None, port: PortOption = None) -> None:
    """Run one API process. Redis and a worker are started separately; `shotput up` starts all."""
    settings = _settings(host=host, port=port)
    together = tempfile.mkdtemp(prefix="shotput-metrics-") if settings.api_processes > 1 else None
    _become(processes.api(settings), settings, processes.counted_together(Path(together)) if together else {})


def worker(
    queue: Annotated[str, Option(help="What it works on: adapt or meta-train.", envvar="SHOTPUT_QUEUE")] = "adapt",
) -> None:
    """Run one worker process. It waits for Redis by itself."""
    _become(processes.worker("worker", queue), Settings())


def _settings(**given: Any) -> Settings:
    """The settings of the environment, but for those that the command line gives."""
    return Settings(**{name: value for name, value in given.items() if value is not None})


def _become(part: Part, settings: Settings, more: Mapping[str, str] | None = None) -> NoReturn:
    environment = {**processes.environment(settings, settings.api_processes), **(more or {})}
    os.execve(part.command[0], part.command, environment)  # noqa: S606

"""What `shotput up` runs: Redis, the API and the workers, started, watched and stopped together."""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import quote

import httpx
import redis.asyncio
from redis.exceptions import ConnectionError as NoConnection

from app import processes
from app.processes import Part
from app.settings import Settings

LONGEST_SOCKET = 100
"""Bytes of a unix socket's path; the kernel's own limit is 104 or 108."""
CRASHES, WITHIN = 5, 60.0
"""What dies more often than this, in so many seconds, is not started again."""
PATIENCE = 5.0
"""Seconds that a process may take to stop; then it is killed. Nothing accepted is lost by that."""
HINT_AFTER = 15.0
"""Seconds of waiting after which the user is told what for."""

Process = asyncio.subprocess.Process


class ServiceEnded(Exception):
    """The service could not start, or could not go on; says why."""


def run(settings: Settings) -> None:
    """Run the service until SIGINT or SIGTERM. Raises `ServiceEnded`."""
    with only_one(settings.home) as lock:
        check_port(settings.host, settings.port)
        with with_redis(settings) as (complete, server):
            workers = [processes.worker(f"worker-{i + 1}", "adapt") for i in range(settings.workers)]
            workers.append(processes.worker("trainer", "meta-train"))
            parts = Supervisor(
                complete, server=server, api=processes.api(complete), workers=workers, lock=lock.fileno()
            )
            asyncio.run(parts.run())


class Supervisor:
    """Keeps the parts of the service running; `server` is our own Redis, or None where there is another.

    The Redis process holds the lock of the home too, so that no second one writes to its files however this one ends.
    """

    def __init__(
        self, settings: Settings, *, server: Part | None, api: Part, workers: Sequence[Part], lock: int
    ) -> None:
        self.settings = settings
        self.server = server
        self.api = api
        self.workers = workers
        self._lock = lock
        self._stop = asyncio.Event()
        self._was_ready = False
        self._running: dict[str, Process] = {}
        self._crashes: defaultdict[str, list[float]] = defaultdict(list)
        self._logs: set[asyncio.Task[None]] = set()
        self._environment = {
            **processes.environment(settings, len(workers) + settings.api_processes),
            **processes.counted_together(settings.home / "metrics"),
        }

    async def run(self) -> None:
        """Start everything, wait for a signal or a death, stop everything."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        serving = asyncio.create_task(self._serve())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        await self._stop_all()
        if not self._stop.is_set():
            await _first_error(serving)

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as parts:
            if self.server:
                parts.create_task(self._keep(self.server))
                await _answers(self.settings.redis_url or "")
            for part in (self.api, *self.workers):
                parts.create_task(self._keep(part))
            await self._announce()

    async def _keep(self, part: Part) -> None:
        while True:
            process = await self._start(part)
            how = _ended(await process.wait())
            self._check_death(part, how, recycled=process.returncode == 0)
            self._say(f"{part.name} {how}; starting it again")

    async def _start(self, part: Part) -> Process:
        process = await asyncio.create_subprocess_exec(
            *part.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop them in order
            pass_fds=[self._lock] if part is self.server else [],
            preexec_fn=_end_with_parent,
        )
        self._running[part.name] = process
        assert process.stdout is not None
        log = asyncio.create_task(self._print(part.name, process.stdout))
        self._logs.add(log)
        log.add_done_callback(self._logs.discard)
        return process

    def _check_death(self, part: Part, how: str, *, recycled: bool) -> None:
        mendable = part in self.workers or self._was_ready  # else it could not start, and could not again
        if not (part.replaceable and self.settings.restart and mendable):
            raise ServiceEnded(f"{part.name} {how}; everything was stopped")
        if recycled:
            return
        now = time.monotonic()
        recent = [then for then in self._crashes[part.name] if now - then < WITHIN] + [now]
        self._crashes[part.name] = recent
        if len(recent) > CRASHES:
            raise ServiceEnded(f"{part.name} {how}, the {len(recent)}th time in a minute; everything was stopped")

    async def _announce(self) -> None:
        url = address(self.settings)
        await self._ready(url)
        self._was_ready = True
        self._say(f"ready: the API is at {url}, its documentation at {url}/docs; Ctrl-C stops it")

    async def _ready(self, url: str) -> None:
        hint_at = time.monotonic() + HINT_AFTER
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            while (missing := await _not_ready(client, url)) is not None:
                if time.monotonic() > hint_at:
                    self._say(f"still waiting until it is ready: {missing}")
                    hint_at += HINT_AFTER
                await asyncio.sleep(0.5)

    async def _stop_all(self) -> None:
        self._say("stopping")
        for group in ([self.api], self.workers, [self.server] if self.server else []):
            await asyncio.gather(*(self._end(part.name) for part in group))
        if self._logs:
            await asyncio.wait(self._logs, timeout=1)
        self._say("stopped")

    async def _end(self, name: str) -> None:
        process = self._running.get(name)
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            self._say(f"{name} did not stop within {PATIENCE:g} s and is killed")
            os.killpg(process.pid, signal.SIGKILL)  # with whatever it has started, which would hold its log open
            await process.wait()

    async def _print(self, name: str, stream: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await stream.read(1 << 16):  # no readline: a line may be longer than its buffer
            *lines, rest = (rest + chunk).split(b"\n")
            self._say(*(line.decode(errors="replace") for line in lines), name=name)
        if rest:
            self._say(rest.decode(errors="replace"), name=name)

    def _say(self, *lines: str, name: str = "shotput") -> None:
        try:
            print("".join(f"{name:<8} | {line}\n" for line in lines), end="", flush=True)
        except BrokenPipeError:  # nobody reads any more
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            self._stop.set()


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[IO[str]]:
    """The lock of a data folder. Raises `ServiceEnded` when another holds it."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("a+") as file:
        give_up = time.monotonic() + 2  # the Redis of one that was killed may be about to end
        while not _locked(file):
            if time.monotonic() > give_up:
                file.seek(0)
                raise ServiceEnded(
                    f"another `shotput up` (process {file.read().strip()}) uses {home}; "
                    "stop it, or give this one a folder of its own with SHOTPUT_HOME"
                )
            time.sleep(0.05)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def check_port(host: str, port: int) -> None:
    """Raises `ServiceEnded` when the API could not listen there."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        raise ServiceEnded(
            f"cannot listen on port {port} of {host}: {os.strerror(error.errno or 0)}; choose another with --port"
        ) from None


@contextlib.contextmanager
def with_redis(settings: Settings) -> Iterator[tuple[Settings, Part | None]]:
    """The settings with a Redis in them, and the server to start for that, if any. Raises `ServiceEnded`."""
    if settings.redis_url:
        yield settings, None
        return
    folder = settings.home / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    with _socket_folder(folder) as private:
        path = private / "socket"
        try:
            server = processes.redis(folder, path)
        except FileNotFoundError as missing:
            raise ServiceEnded(str(missing)) from None
        yield settings.model_copy(update={"redis_url": f"unix://{quote(str(path))}"}), server


@contextlib.contextmanager
def _socket_folder(folder: Path) -> Iterator[Path]:
    """The folder itself, or a short-lived one where its path is too long for a socket."""
    if len(os.fsencode(folder)) + len("/socket") < LONGEST_SOCKET:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="shotput-") as short:
        yield Path(short)


def address(settings: Settings) -> str:
    """Where the API is reached from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


async def _answers(redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        while True:
            try:
                await client.ping()
            except NoConnection:  # not there yet, or still reading its file
                await asyncio.sleep(0.02)
            else:
                return


async def _not_ready(client: httpx.AsyncClient, url: str) -> str | None:
    """What is missing until the service is ready, or None when it is."""
    try:
        answer = await client.get(f"{url}/readyz")
    except httpx.HTTPError as error:
        return f"the API does not answer ({error or type(error).__name__})"
    return None if answer.is_success else answer.text[:500]


async def _first_error(task: asyncio.Task[None]) -> None:
    try:
        await task
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None


def _ended(code: int) -> str:
    return f"ended with exit status {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"


def _end_with_parent() -> None:
    """Run in each child before its program: the kernel stops it when we are killed (Linux)."""
    if _LIBC is not None:
        _LIBC.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)


_SET_PARENT_DEATH_SIGNAL = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

"""Servers in processes of their own."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process, and all that it started, until the end of the block."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with contextlib.suppress(ProcessLookupError):  # some servers leave children behind
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for_success(
    url: str, process: subprocess.Popen[bytes], body: bytes | None = None, seconds: float = 240
) -> None:
    """Return once a GET, or a POST of the body, succeeds; raises when the process has ended or it takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            headers = {"Content-Type": "application/json"}
            method = "GET" if body is None else "POST"
            if httpx.request(method, url, content=body, headers=headers, timeout=60, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    raise TimeoutError(f"{url} did not become ready")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and of all below it, so far."""
    own = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    children = [
        int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()
    ]
    return (int(own[11]) + int(own[12])) / TICK + sum(cpu_seconds(child) for child in children)

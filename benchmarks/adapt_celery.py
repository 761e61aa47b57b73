"""`POST /adapt` of 5-way 5-shot, beside the adapt in a task of Celery with a module loaded at start.

python -m benchmarks.adapt_celery [--requests 60] [--rounds 2]

ProtoNet on both sides; one worker process each, a Redis each, 1 and 16 clients, asked in turns. Over HTTP here; there
clients speak to Redis themselves. Here support set, order and outcome are synced to disk, the model is scored by
leaving one out, calibrated, and kept with its support set; there its class means are written to a file. For the rows
that say so the task syncs its support set and its class means to disk too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.bodies import drawings, forms
from benchmarks.load import Load
from benchmarks.peers import environment_of
from benchmarks.predict_http import started
from benchmarks.record import write
from benchmarks.running import cpu_seconds, running
from tests.redis_server import RedisServer

WARM = 2
"""Requests of a client of Celery before those that are told of."""
Told = dict[str, float]
TASKS = {"adapt": "", "adapt_durably": ", both sides synced to disk"}
"""Tasks of Celery, and what is said of them."""


def main() -> None:
    """Both numbers of clients."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--requests", type=int, default=60)
    arguments.add_argument("--rounds", type=int, default=2)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="shotput") as folder, ExitStack() as stack:
        ours = stack.enter_context(started("shotput", Path(folder)))
        environment, pid = stack.enter_context(celery(Path(folder)))
        rows = []
        for clients in (1, 16):
            each = max(2, given.requests // clients)
            runs = [
                (shotput(*ours, clients, each), *(task(environment, pid, name, clients, each) for name in TASKS))
                for _ in range(given.rounds)
            ]
            own, *others = zip(*runs, strict=True)
            rows += [beside(clients, own, other, said) for other, said in zip(others, TASKS.values(), strict=True)]
    rows.sort(key=lambda row: "synced" in row["what"])
    command = f"python -m benchmarks.adapt_celery --requests {given.requests} --rounds {given.rounds}"
    write("adapt_celery", command, rows)


@contextmanager
def celery(folder: Path) -> Iterator[tuple[dict[str, str], int]]:
    """Its broker and its worker: the environment of a client, and the worker's process id."""
    (folder / "redis").mkdir()
    (folder / "models").mkdir()
    server = RedisServer(folder / "redis")
    server.start()
    environment = environment_of("celery", ["celery[redis]==5.7.0"])
    environment |= {
        "BENCHMARK_REDIS": server.url.replace("unix:", "redis+socket:"),
        "BENCHMARK_FOLDER": str(folder / "models"),
    }
    worker = ["worker", "--pool", "prefork", "--concurrency", "1", "--loglevel", "warning", "--without-gossip"]
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.servers.celery_tasks", *worker]
    try:
        with running(command, environment, folder / "celery.log") as process:
            yield environment, process.pid
    finally:
        server.stop()


def shotput(port: int, pid: int, clients: int, requests: int) -> Told:
    """Over HTTP."""
    pixels, labels = drawings()
    support = {"inputs": forms(pixels)["npy"], "labels": labels}
    body = json.dumps({"base": "omniglot", "learner": "protonet", "support": support}).encode()
    Load(port, "/adapt", lambda: body, clients=clients, requests=2).run()
    before = cpu_seconds(pid)
    load = Load(port, "/adapt", lambda: body, clients=clients, requests=requests)
    taken = load.run()
    return _told(taken, load.taken, cpu_seconds(pid) - before)


def task(environment: dict[str, str], pid: int, name: str, clients: int, requests: int) -> Told:
    """By one of Celery's tasks."""
    before = cpu_seconds(pid)
    command = [sys.executable, "-m", "benchmarks.servers.celery_client", name, *map(str, (clients, requests, WARM))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    answer = json.loads(done.stdout.splitlines()[-1])
    counted = len(answer["taken"]) / (len(answer["taken"]) + WARM)
    return _told(answer["taken"], answer["seconds"], (cpu_seconds(pid) - before) * counted)


def _told(taken: list[float], seconds: float, cpu: float) -> Told:
    return {
        "p50_ms": 1e3 * statistics.median(taken),
        "adapts_per_second": len(taken) / seconds,
        "cpu_ms": 1e3 * cpu / len(taken),
    }


def beside(clients: int, ours: tuple[Told, ...], theirs: tuple[Told, ...], said: str) -> dict[str, Any]:
    """Medians of both sides, and of the ratios of their adapts a second."""
    a, b = ({key: statistics.median(run[key] for run in side) for key in side[0]} for side in (ours, theirs))
    pace = "adapts_per_second"
    return {
        "what": f"{clients} client{'s' * (clients > 1)}{said}",
        **a,
        **{f"celery_{key}": value for key, value in b.items()},
        "ratio": statistics.median(x[pace] / y[pace] for x, y in zip(ours, theirs, strict=True)),
        "wanted": "" if said else "≥ 2",
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    main()

"""A rolling restart under load: each process is asked to end (SIGTERM) and started anew, one after the other.

python -m benchmarks.rolling [--clients 6]

Two API processes and two workers. Clients adapt and predict one request after the other; what a process does not answer
they send to the other, adapts under their `Idempotency-Key`, as a load balancer would.
"""

import argparse
import collections
import dataclasses
import os
import random
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from benchmarks.chaos import BODIES, PATIENCE, QUERIES, ended
from benchmarks.ground import Ground, ready
from benchmarks.record import write
from meta_core.ids import DEFAULT_TENANT
from tests.worker.site import until


def main() -> None:
    """One restart of everything, recorded."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--clients", type=int, default=6)
    clients = arguments.parse_args().clients
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:
        row = run(Path(folder), clients=clients, workers=2)
    write("rolling", f"python -m benchmarks.rolling --clients {clients}", [row])
    sys.exit(any(row[what] for what in ("unanswered", "lost", "doubled")))


@dataclasses.dataclass
class Told:
    """What the clients saw."""

    adapts: dict[str, str] = dataclasses.field(default_factory=dict)
    """By key, the id of the model."""
    predictions: int = 0
    unanswered: int = 0
    repeated: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    slowest: float = 0.0


def run(folder: Path, clients: int, workers: int) -> dict[str, Any]:
    """Restart each process once while clients ask; the books."""
    ground = Ground(folder, apis=2, workers=workers)
    try:
        ground.wait_until_ready()
        model = httpx.post(f"{ground.urls[0]}/adapt", json=BODIES[0], timeout=60, trust_env=False).json()["id"]
        told, over = Told(), threading.Event()
        with ThreadPoolExecutor(clients) as pool:
            asking = [pool.submit(ask_on, ground, f"rolling {i}", model, told, over) for i in range(clients)]
            try:
                until(lambda: len(told.adapts) > clients, seconds=PATIENCE)
                started = time.monotonic()
                restart(ground)
                seconds = time.monotonic() - started
            finally:
                over.set()
            for one in asking:
                one.result()
        with httpx.Client(base_url=ground.urls[0], timeout=60, trust_env=False) as client:
            ends = [ended(client, id, time.monotonic() + PATIENCE)["status"] for id in told.adapts.values()]
        made = sum(1 for _ in ground.store.keys(f"{DEFAULT_TENANT}/models")) - 1
    finally:
        ground.close()
    return {
        "processes restarted": 2 + workers,
        "seconds": seconds,
        "adapts": len(told.adapts),
        "predictions": told.predictions,
        "unanswered": told.unanswered,
        "sent again": dict(told.repeated),
        "lost": len(ends) - ends.count("ready"),
        "doubled": made - len(told.adapts),
        "slowest answer s": told.slowest,
        "load": os.getloadavg()[0],
    }


def restart(ground: Ground) -> None:
    """One after the other; the next when the one before is back."""
    for i, url in enumerate(ground.urls):
        ground.apis[i].terminate()
        ground.apis[i].wait(60)
        until(lambda url=url: ready(url), seconds=PATIENCE)
    for worker in list(ground.workers):
        worker.terminate()
        worker.wait(60)
        until(lambda: {one.pid for one in ground.workers} <= ground.live_workers().keys(), seconds=PATIENCE)


def ask_on(ground: Ground, name: str, model: str, told: Told, over: threading.Event) -> None:
    """Adapt and predict until it is over."""
    rng, number = random.Random(name), 0
    while not over.is_set():
        number += 1
        if number % 2:
            question = {"model": model, "inputs": QUERIES[:1]}
            told.predictions += answered(ground, rng, told, "/predict", json=question) is not None
            continue
        key = f"{name} {number}"
        headers = {"Idempotency-Key": key, "Prefer": "wait=5"}
        if (
            made := answered(ground, rng, told, "/adapt", json=BODIES[number % len(BODIES)], headers=headers)
        ) is not None:
            told.adapts[key] = made["id"]


def answered(
    ground: Ground, rng: random.Random, told: Told, path: str, *, json: Any, headers: dict[str, str] | None = None
) -> dict[str, Any] | None:
    """The answer of the first process that gives one; None if none does in ten tries of both."""
    started = time.monotonic()
    urls = rng.sample(ground.urls, 2) * 10
    for url in urls:
        try:
            answer = httpx.post(url + path, json=json, headers=headers, timeout=60, trust_env=False)
        except httpx.TransportError as error:
            told.repeated[type(error).__name__] += 1
        else:
            if answer.is_success:
                told.slowest = max(told.slowest, time.monotonic() - started)
                return dict(answer.json())
            told.repeated[str(answer.status_code)] += 1
        time.sleep(0.05)
    told.unanswered += 1
    return None


if __name__ == "__main__":
    main()

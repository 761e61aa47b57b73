"""`POST /adapt` over HTTP through Redis and a worker, beside its arithmetic alone; it starts a service of its own.

python -m benchmarks.adapt_http [--requests 100]

The arithmetic is `Engine.adapt_order`: encoding 25 images, adapting, leave-one-out scores and calibration; it is timed
in turns with the requests. Sixteen clients share the machine with API, Redis, store and worker.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch

from benchmarks.bodies import drawings, forms
from benchmarks.load import Load
from benchmarks.record import write
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine, TaskRequest
from meta_core.ids import new_id
from meta_core.orders import Order
from meta_core.process import prepare_process
from meta_core.store import Store

CLIENTS = 16
JSON = {"Content-Type": "application/json"}


def main() -> None:
    """Measure each form of body."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--requests", type=int, default=100)
    requests = arguments.parse_args().requests
    prepare_process(1)
    pixels, labels = drawings()
    with tempfile.TemporaryDirectory(prefix="shotput") as folder, service(Path(folder)) as url:
        alone = arithmetic(Path(folder), pixels, labels)
        rows = []
        for name, inputs in forms(pixels).items():
            body = json.dumps({"base": "omniglot", "support": {"inputs": inputs, "labels": labels}}).encode()
            rows += [one_client(url, body, alone, requests, name), many_clients(url, body, alone, requests, name)]
    write("adapt_http", f"python -m benchmarks.adapt_http --requests {requests}", rows)


@contextmanager
def service(home: Path) -> Iterator[str]:
    """`shotput up` with one worker, ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    environment = {**os.environ, "SHOTPUT_HOME": str(home), "SHOTPUT_PORT": port, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "app.cli", "up"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return once it is; raises when it has ended or takes minutes."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise TimeoutError("the service did not become ready")


def arithmetic(folder: Path, pixels: np.ndarray, labels: list[str]) -> Callable[[], float]:
    """Seconds of one adapt in this process."""
    engine = Engine(Catalogue(Store(str(folder / "alone"))), torch.device("cpu"))
    record, support = engine.accept(TaskRequest(base="omniglot", inputs=pixels, labels=labels))
    order = Order(id=new_id("mdl"), tenant="default", kind="adapt", spec={"record": record}, created_at="")
    return lambda: timed(lambda: engine.adapt_order(order, support))


def timed(call: Callable[[], Any]) -> float:
    """Seconds of one call, by the clock."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def one_client(url: str, body: bytes, alone: Callable[[], float], requests: int, name: str) -> dict[str, Any]:
    """Latency of one request after the other, each beside one adapt alone."""
    pairs = []
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
        for turn in range(requests + 5):
            pair = (timed(lambda: client.post("/adapt", content=body, headers=JSON).raise_for_status()), alone())
            if turn >= 5:
                pairs.append(pair)
    request, adapt = (statistics.median(side) for side in zip(*pairs, strict=True))
    return {
        "what": f"one client, {name}",
        "p50_ms": 1e3 * request,
        "p99_ms": 1e3 * statistics.quantiles([pair[0] for pair in pairs], n=100)[98],
        "arithmetic_ms": 1e3 * adapt,
        "ratio": request / adapt,
        "wanted": "≤ 2.5",
        "load": os.getloadavg()[0],
    }


def many_clients(url: str, body: bytes, alone: Callable[[], float], requests: int, name: str) -> dict[str, Any]:
    """Adapts a second from several clients, beside what the arithmetic allows on one core."""
    before = [alone() for _ in range(10)]
    port = int(url.rsplit(":", 1)[-1])
    load = Load(port, "/adapt", lambda: body, clients=CLIENTS, requests=max(1, requests // CLIENTS))
    served = len(load.run()) / load.taken
    allowed = 1 / statistics.median(before + [alone() for _ in range(10)])
    return {
        "what": f"{CLIENTS} clients, {name}",
        "adapts_per_second": served,
        "arithmetic_per_second": allowed,
        "ratio": served / allowed,
        "wanted": "≥ 0.8",
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    main()

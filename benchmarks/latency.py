"""Milliseconds of `/adapt` and `/predict` over HTTP against a running service (`script/up`), one client.

python -m benchmarks.latency [--url http://127.0.0.1:8000] [--requests 200]
"""

import argparse
import statistics
import time
from typing import Any

import httpx

from benchmarks.bodies import drawings, forms
from benchmarks.record import write


def main() -> None:
    """Measure each kind of request."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--url", default="http://127.0.0.1:8000")
    arguments.add_argument("--requests", type=int, default=200)
    given = arguments.parse_args()
    pixels, labels = drawings()
    with httpx.Client(base_url=given.url, timeout=60, trust_env=False) as client:
        rows = []
        for form, inputs in forms(pixels).items():
            support = {"base": "omniglot", "support": {"inputs": inputs, "labels": labels}}
            model = client.post("/adapt", json=support).raise_for_status().json()["id"]
            question = {"model": model, "inputs": forms(pixels[:1])[form]}
            rows.append(timed(client, "/adapt", support, given.requests, f"5-way 5-shot, {form}"))
            rows.append(timed(client, "/predict", question, given.requests, f"one image, {form}"))
    write("latency", f"python -m benchmarks.latency --requests {given.requests}", rows)


def timed(client: httpx.Client, path: str, body: Any, requests: int, what: str) -> dict[str, Any]:
    """Median and 99th percentile of a request, in milliseconds."""
    seconds = []
    for _ in range(requests):
        started = time.perf_counter()
        client.post(path, json=body).raise_for_status()
        seconds.append(time.perf_counter() - started)
    cuts = statistics.quantiles(seconds, n=100)
    return {"request": path, "what": what, "p50_ms": 1e3 * cuts[49], "p99_ms": 1e3 * cuts[98], "requests": requests}


if __name__ == "__main__":
    main()

"""`POST /predict` of one image over HTTP, beside LitServe and BentoML with the same weights, body and preprocessing.

python -m benchmarks.predict_http [--seconds 3] [--rounds 3]

An adapted ProtoNet of five classes; one API process and two, one worker process of each peer beside the one that speaks
HTTP, and an endpoint of FastAPI that
does nothing. All run at the same time and are asked in turns, so that what else the machine does falls on all alike.
`cpu_ms` is the CPU time of all processes of a side for each request, which does not depend on what else runs.
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

import httpx

from benchmarks.bodies import drawings, forms
from benchmarks.load import Load, told
from benchmarks.peers import environment_of
from benchmarks.record import write
from benchmarks.running import cpu_seconds, free_port, running, wait_for_success

CLIENTS = (1, 16, 64)
OURS = {"shotput": 1, "shotput, 2 processes": 2}
SIDES = (*OURS, "litserve", "bentoml", "empty")
Side = tuple[int, int]
"""Port and process id."""


def main() -> None:
    """Measure each number of clients."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=3)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="shotput") as folder, ExitStack() as stack:
        sides = {name: stack.enter_context(started(name, Path(folder))) for name in SIDES}
        bodies = {name: question(sides[name if name in OURS else "shotput"][0]) for name in sides}
        agree(sides, bodies)
        rows = [
            row
            for clients in CLIENTS
            for row in asked(sides, bodies, clients=clients, seconds=given.seconds, rounds=given.rounds)
        ]
    command = f"python -m benchmarks.predict_http --seconds {given.seconds:g} --rounds {given.rounds}"
    write("predict_http", command, rows)


@contextmanager
def started(name: str, folder: Path) -> Iterator[Side]:
    """One side, ready to answer."""
    port = free_port()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if name in OURS:
        environment |= {"SHOTPUT_HOME": str(folder / f"home-{OURS[name]}"), "SHOTPUT_PORT": str(port)}
        environment["SHOTPUT_API_PROCESSES"] = str(OURS[name])
        command = [sys.executable, "-m", "app.cli", "up"]
    elif name == "empty":
        command = [*uvicorn("benchmarks.servers.empty:app"), "--port", str(port)]
    elif name == "litserve":
        environment = environment_of("litserve", ["litserve==0.2.19"])
        command = [sys.executable, "benchmarks/servers/litserve_server.py", str(port)]
    else:
        environment = environment_of("bentoml", ["bentoml==1.4.39"])
        environment["BENTOML_DO_NOT_TRACK"] = "1"
        serve = ["serve", "benchmarks.servers.bentoml_server:Api", "--host", "127.0.0.1", "--port", str(port)]
        command = [sys.executable, "-m", "bentoml", *serve]
    with running(command, environment, folder / f"{name}.log") as process:
        wait_until_ready(name, port, process)
        yield port, process.pid


def uvicorn(app: str) -> list[str]:
    """How our API is served, for another application."""
    return [sys.executable, "-m", "uvicorn", app, "--no-access-log", "--log-level", "warning"]


def wait_until_ready(name: str, port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once a side answers."""
    url = f"http://127.0.0.1:{port}"
    if name in OURS:
        wait_for_success(f"{url}/readyz", process)
    else:
        wait_for_success(f"{url}/predict", process, json.dumps({"model": "", "inputs": one_image()}).encode())


def one_image() -> Any:
    """The first drawing, as base64 .npy."""
    return forms(drawings()[0][:1])["npy"]


def question(port: int) -> bytes:
    """A body of /predict, once the model is adapted that it asks."""
    pixels, labels = drawings()
    support = {"inputs": forms(pixels)["npy"], "labels": labels}
    asked_for = {"base": "omniglot", "learner": "protonet", "support": support}
    answer = httpx.post(f"http://127.0.0.1:{port}/adapt", json=asked_for, timeout=60, trust_env=False)
    return json.dumps({"model": answer.raise_for_status().json()["id"], "inputs": one_image()}).encode()


def agree(sides: dict[str, Side], bodies: dict[str, bytes]) -> None:
    """Raises `AssertionError` where the sides answer with another class."""
    answers = {
        name: httpx.post(
            f"http://127.0.0.1:{sides[name][0]}/predict",
            content=bodies[name],
            headers={"Content-Type": "application/json"},
            timeout=60,
            trust_env=False,
        ).json()["predictions"][0]["label"]
        for name in SIDES
        if name != "empty"
    }
    assert len(set(answers.values())) == 1, answers


def asked(
    sides: dict[str, Side], bodies: dict[str, bytes], *, clients: int, seconds: float, rounds: int
) -> list[dict[str, Any]]:
    """All sides in turns; medians over the rounds, and ours beside the better peer and the empty endpoint."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, (port, pid) in sides.items():
            before = cpu_seconds(pid)
            body = bodies[name]
            load = Load(port, "/predict", lambda body=body: body, clients=clients, seconds=seconds if turn else 1)  # type: ignore[misc]
            latencies = load.run()
            if turn:  # the first warms up
                cpu = 1e3 * (cpu_seconds(pid) - before) / len(latencies)
                found[name].append({**told(latencies, seconds), "cpu_ms": cpu})
    sides_told = {
        name: {key: statistics.median(one[key] for one in runs) for key in runs[0]} for name, runs in found.items()
    }
    pace = {name: one["requests_per_second"] for name, one in sides_told.items()}
    better = max(("litserve", "bentoml"), key=pace.__getitem__)
    beside = {
        name: {
            "ratio": pace[name] / pace[better],
            "wanted": "≥ 2.5" if clients == 16 else "",
            "of_empty": pace[name] / pace["empty"],
            "wanted_of_empty": "≥ 0.25" if clients == 16 else "",
        }
        for name in OURS
    }
    what = f"{clients} client{'s' * (clients > 1)}"
    return [
        {"what": what, "side": name, **one, **beside.get(name, {}), "load": os.getloadavg()[0]}
        for name, one in sides_told.items()
    ]


if __name__ == "__main__":
    main()

"""Shotput and what is broken beside it: how each is started, asked, killed, and what of it was done."""

import collections
import contextlib
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks.bodies import drawings, forms
from benchmarks.crashed.work import BOOK
from benchmarks.faults import kill_redis
from benchmarks.ground import Ground, ready
from benchmarks.peers import environment
from meta_core.ids import DEFAULT_TENANT
from tests.running import ROOT
from tests.worker.site import Process, until

PACKAGES = ("rq==3.0.0", "celery[redis]==5.7.0", "bentoml==1.4.39")
PIXELS, LABELS = drawings()
BODY = {"base": "omniglot", "learner": "protonet", "support": {"inputs": forms(PIXELS)["png"], "labels": LABELS}}

Done = dict[str, collections.Counter[str]]
"""By request, how often each of the adapts was done that came of it."""


class Shotput(Ground):
    """The service itself."""

    faults: Sequence[str] = ("worker killed", "API killed", "Redis killed")

    def __init__(self, folder: Path, **sizes: int) -> None:
        self.told: dict[str, set[str]] = collections.defaultdict(set)
        super().__init__(folder, **sizes)

    def send(self, url: str, number: str) -> str | None:
        """One request; the id of the order if it was accepted."""
        headers = {"Idempotency-Key": f"crash {number}", "Prefer": "wait=0"}
        return answered(f"{url}/adapt", "id", json=BODY, headers=headers)

    def done(self) -> Done:
        """The outcomes in the store, and what the workers say of adapts that had one already."""
        ids = {key.rsplit("/", 1)[-1].split(".")[0] for key in self.store.keys(f"{DEFAULT_TENANT}/models")}
        numbers = {id: number for number, told in self.told.items() for id in told}
        done: Done = collections.defaultdict(collections.Counter)
        for id in (*ids, *re.findall("(mdl_[0-9a-f]{32}): ready, but it had an outcome already", self.log())):
            done[numbers.get(id, "nobody's")][id] += 1
        return done

    def kill(self, what: str, rng: random.Random) -> None:
        """Let one thing happen."""
        if what == "Redis killed":
            kill_redis(self, rng)
        else:
            rng.choice(self.workers if what == "worker killed" else self.apis).kill()


class Peer(Shotput):
    """A front of two `uvicorn` processes, and two workers."""

    front = ""
    worker: Sequence[str] = ()
    settings_of: Mapping[str, str] = {}

    def __init__(self, folder: Path, **sizes: int) -> None:
        self.programs = environment("crash", PACKAGES)
        super().__init__(folder, **sizes)

    def kill(self, what: str, rng: random.Random) -> None:
        """Let one thing happen, to the children too."""
        if what == "Redis killed":
            kill_redis(self, rng)
        else:
            kill_all_of(rng.choice(self.workers if what == "worker killed" else self.apis))

    def send(self, url: str, number: str) -> str | None:
        """One request; the id of the job if it was accepted."""
        return answered(f"{url}/adapt", "id", params={"number": number}, json=BODY)

    def done(self) -> Done:
        """From the book of `benchmarks/crashed/work.py`."""
        done: Done = collections.defaultdict(collections.Counter)
        book = self.folder / BOOK
        for line in book.read_text().splitlines() if book.exists() else ():
            number, job, _ = line.split()
            done[number][job] += 1
        return done

    def wait_until_ready(self) -> None:
        """Return once every API process answers and sees the workers."""
        for url in self.urls:
            until(lambda url=url: answered(f"{url}/readyz", "workers", method="GET") == 2, seconds=300)

    def close(self) -> None:
        """Kill everything, children too."""
        self._ended.set()
        self._keeper.join()
        for process in (*self.apis, *self.workers):
            kill_all_of(process)
        super().close()

    def start_worker(self, queue: Any = "adapt", **_: str) -> Process:
        """One more worker."""
        self.workers.append(self.begin(self.worker))
        return self.workers[-1]

    def _start_api(self, port: int) -> Process:
        return self.begin(["uvicorn", f"benchmarks.crashed.{self.front}:app", "--port", str(port)])

    def begin(self, command: Sequence[str]) -> Process:
        """A program of the peers' environment."""
        paths = {"CRASH_FOLDER": str(self.folder), "CRASH_REDIS": self.server.url, "PYTHONPATH": str(ROOT)}
        everything = {**os.environ, "OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "1", **paths, **self.settings_of}
        with (self.folder / "peer.log").open("ab") as log:
            return subprocess.Popen(
                [self.programs / "python", "-m", *command],
                env=everything,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


_RQ = ("--config", "benchmarks.crashed.queued_by_rq")


class SimpleRQ(Peer):
    """RQ, `SimpleWorker`: jobs are done in the worker's own process."""

    front = "queued_by_rq"
    worker = ("rq.cli", "worker", *_RQ, "--worker-class", "rq.SimpleWorker", "adapts")


class ForkingRQ(Peer):
    """RQ, `Worker`: a process for each job; what jobs import is imported before."""

    front = "queued_by_rq"
    worker = ("rq.cli", "worker", *_RQ, "adapts")


class Celery(Peer):
    """Celery with `acks_late`; what was not acknowledged is given to another worker after an hour."""

    front = "queued_by_celery"
    worker = ("celery", "-A", "benchmarks.crashed.queued_by_celery:celery", "worker", "-c", "1", "-l", "warning")

    def start_worker(self, queue: Any = "adapt", **_: str) -> Process:
        """One more worker, under a name of its own."""
        self.workers.append(self.begin([*self.worker, "-n", f"{time.time_ns()}@here"]))
        return self.workers[-1]


class QuickCelery(Celery):
    """The same, given to another worker after 20 s."""

    settings_of: Mapping[str, str] = {"CRASH_VISIBILITY": "20"}


class BentoML(Peer):
    """BentoML tasks: two processes behind one port, started again by `bentoml serve` itself; there is no Redis."""

    faults: Sequence[str] = ("worker killed", "API killed")

    def send(self, url: str, number: str) -> str | None:
        """One request; the id of the task if it was accepted."""
        return answered(f"{url}/adapt/submit", "task_id", json={"number": number, "body": BODY})

    def wait_until_ready(self) -> None:
        """Return once it answers."""
        until(lambda: ready(self.urls[0]), seconds=300)

    def kill(self, what: str, rng: random.Random) -> None:
        """One of the two processes, or the whole service."""
        if what == "worker killed":
            os.kill(rng.choice(self.serving()), signal.SIGKILL)
        else:
            kill_all_of(self.apis[0])

    def serving(self) -> list[int]:
        """Ids of the processes that serve."""
        command = b"_bentoml_impl.worker.service"
        return [pid for pid in below(self.apis[0].pid) if command in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def _start_api(self, port: int) -> Process:
        return self.begin(["bentoml", "serve", "benchmarks.crashed.bentoml_tasks:Adapts", "--port", str(port)])


def answered(url: str, name: str, method: str = "POST", **request: Any) -> Any:
    """What the answer holds under a name, or None where there is no answer or one that is no success."""
    try:
        answer = httpx.request(method, url, timeout=30, trust_env=False, **request)
    except httpx.TransportError:
        return None
    return answer.json()[name] if answer.is_success else None


def kill_all_of(process: Process) -> None:
    """`kill -9` of a process and what it started."""
    for pid in [process.pid, *below(process.pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def below(pid: int) -> list[int]:
    """Ids of the children of a process, and of theirs."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return [one for child in children for one in (child, *below(child))]


SYSTEMS: dict[str, tuple[type[Shotput], dict[str, int]]] = {
    "Shotput": (Shotput, {}),
    "RQ, SimpleWorker": (SimpleRQ, {}),
    "RQ, forking worker": (ForkingRQ, {}),
    "Celery, acks_late": (Celery, {}),
    "Celery, acks_late, visibility_timeout=20": (QuickCelery, {}),
    "BentoML tasks": (BentoML, {"apis": 1, "workers": 0}),
}

"""A service without its API: a real Redis, a store in a folder, and worker processes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from meta_core.ids import new_id
from meta_core.orders import (
    PROGRESS_KEY,
    TURNS,
    WORKER_KEY,
    Kind,
    Order,
    Result,
    accept,
    finish,
    load_outcome,
    now,
    queue_name,
)
from meta_core.store import Store
from tests.redis_server import RedisServer
from worker.pulse import CLAIM_KEY

TENANT = "someone"
Process = subprocess.Popen[bytes]


def until(holds: Callable[[], Any], seconds: float = 90) -> Any:
    """Look again and again until something holds; returns it."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, f"nothing after {seconds} s"
        time.sleep(0.02)
    return value


def sine_recipe(steps: int, validate_every: int = 1000) -> dict[str, Any]:
    training = {"steps": steps, "validate_every": validate_every, "validation_tasks": 2, "shots": 5, "queries": 5}
    parts = {"dataset": "sinusoids", "learner": "cnp", "backbone": "identity", "params": {"width": 8}}
    return {"name": "sine", **parts, "training": training}


class Site:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = RedisServer(folder)
        self.server.start()
        self.redis: Redis = self.server.client()
        self.store = Store(str(folder / "store"))
        self.workers: list[Process] = []

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.redis.close()
        self.server.stop()

    def start_worker(self, queue: Kind = "meta-train", **settings: str) -> Process:
        """A worker process, and nothing more: see `live_workers`."""
        environment = {**os.environ, "SHOTPUT_HOME": str(self.folder), "SHOTPUT_REDIS_URL": self.server.url, **settings}
        with (self.folder / "worker.log").open("ab") as log:
            command = [sys.executable, "-m", "worker", "--queue", queue]
            self.workers.append(subprocess.Popen(command, env=environment, stderr=log))
        return self.workers[-1]

    def live_workers(self) -> dict[int, dict[str, Any]]:
        """What the workers say of themselves, by process id."""
        said = self.redis.mget(names) if (names := self.redis.keys(f"{WORKER_KEY}*")) else []
        signs = [json.loads(sign) for sign in said if sign]
        return {sign["pid"]: sign for sign in signs}

    def ready_worker(self, queue: Kind = "meta-train") -> Process:
        worker = self.start_worker(queue)
        until(lambda: worker.pid in self.live_workers())
        return worker

    def accept(self, spec: dict[str, Any], kind: Kind = "meta-train", support: bytes | None = None) -> Order:
        """An order in the store, in no queue."""
        id = new_id("mdl" if kind == "adapt" else "job")
        order = Order(id=id, tenant=TENANT, kind=kind, spec=spec, created_at=now())
        accept(self.store, order, support)
        return order

    def submit(self, spec: dict[str, Any], **changed: Any) -> Order:
        """An order in the store and in its queue, as the API leaves it."""
        order = self.accept(spec)
        self.enqueue(order.kind, **{**order.queue_call(), **changed})
        return order

    def enqueue(self, kind: Kind, tenant: str = TENANT, **call: Any) -> None:
        """As the API does it."""
        self.queue(kind, tenant).enqueue_call(**call)
        self.redis.zadd(TURNS[kind], {tenant: time.time()}, nx=True)

    def queue(self, kind: Kind, tenant: str = TENANT) -> Queue:
        return Queue(queue_name(kind, tenant), connection=self.redis, serializer=JSONSerializer)

    def give_again(self, order: Order) -> None:
        """What the reconciler does some seconds after a worker was last heard of, at once."""
        self.redis.delete(CLAIM_KEY + order.id, Job.key_for(order.id))
        self.enqueue(order.kind, **order.queue_call())

    def cancel(self, order: Order) -> None:
        """As DELETE /jobs/{id} does."""
        finish(self.store, order, Result(status="cancelled", record={"finished_at": now()}))

    def holder(self, order: Order) -> int:
        """Process id of the worker that has the order."""
        worker = self.redis.get(CLAIM_KEY + order.id) or b""
        sign = until(lambda: self.redis.get(WORKER_KEY.encode() + worker))
        return int(json.loads(sign)["pid"])

    def outcome(self, order: Order) -> tuple[str, dict[str, Any]] | None:
        return load_outcome(self.store, TENANT, order.id)

    def progress(self, order: Order) -> dict[str, Any]:
        fields = self.redis.hgetall(PROGRESS_KEY + order.id)
        return {name.decode(): json.loads(value) for name, value in fields.items()}

    def step(self, order: Order) -> int:
        return int(self.progress(order).get("step", 0))

    def log(self) -> str:
        return (self.folder / "worker.log").read_text()

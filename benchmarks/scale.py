"""What twice the processes bring on this machine, what an order costs, and what would be the first to be too small.

python -m benchmarks.scale [--seconds 4] [--orders 96] [--rounds 2]

API: 16 clients ask one image each of one and of two processes. Workers: orders that wait are carried out by one and by
two. Costs: bytes in Redis of an order that waits, and CPU time of Redis, API and worker, and objects and bytes in the
store, of one that was carried out. The last rows are arithmetic on these: how many processes of each kind serve a
thousand times what one worker does, and at what pace a single Redis would be full.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.bodies import drawings, forms
from benchmarks.ground import Ground
from benchmarks.load import Load
from benchmarks.predict_http import question
from benchmarks.record import write
from benchmarks.running import cpu_seconds
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine, TaskRequest
from meta_core.ids import new_id
from meta_core.orders import Order, accept, load_outcome, now
from meta_core.process import choose_device, prepare_process
from tests.worker.site import TENANT, Site, until

CLIENTS, TIMES = 16, (10, 100, 1000)
Row = dict[str, Any]


def main() -> None:
    """Each table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=4)
    arguments.add_argument("--orders", type=int, default=96)
    arguments.add_argument("--rounds", type=int, default=2)
    given = arguments.parse_args()
    prepare_process(1)
    cost = costs(given.orders)
    rows = [
        api(given.seconds, given.rounds),
        workers(given.orders, given.rounds),
        cost,
        *(on_paper(cost, times) for times in TIMES),
    ]
    options = f"--seconds {given.seconds:g} --orders {given.orders} --rounds {given.rounds}"
    write("scale", f"python -m benchmarks.scale {options}", rows)


def api(seconds: float, rounds: int) -> Row:
    """Requests a second of one API process and of two behind one port each, in turns."""
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:
        ground = Ground(Path(folder), apis=2, workers=1)
        try:
            ground.wait_until_ready()
            body = question(ground.ports[0])
            found = [[predicted(ground.ports[:count], body, seconds) for count in (1, 2)] for _ in range(rounds)]
        finally:
            ground.close()
    one, two = (statistics.median(side) for side in zip(*found, strict=True))
    ratio = statistics.median(b / a for a, b in found)
    return beside("API processes, /predict from 16 clients: requests/s", one, two, ratio)


def predicted(ports: list[int], body: bytes, seconds: float) -> float:
    """Requests a second, the clients shared out over the ports."""
    loads = [Load(port, "/predict", lambda: body, clients=CLIENTS // len(ports), seconds=seconds) for port in ports]
    return len(Load.together(loads)) / seconds


def workers(orders: int, rounds: int) -> Row:
    """Orders a second of one worker and of two, each time from a line that waits."""
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:
        site = Site(Path(folder))
        try:
            found = []
            for _ in range(rounds):
                pair = []
                for count in (1, 2):
                    ended(site)
                    for _ in range(count):
                        site.ready_worker("adapt")
                    pair.append(orders / drained(site, waiting(site, orders)))
                found.append(pair)
        finally:
            site.close()
    one, two = (statistics.median(side) for side in zip(*found, strict=True))
    return beside("workers, orders that wait: adapts/s", one, two, statistics.median(b / a for a, b in found))


def ended(site: Site) -> None:
    """No worker is left."""
    for worker in site.workers:
        worker.terminate()
        worker.wait()
    site.workers.clear()
    until(lambda: not site.live_workers())


def waiting(site: Site, count: int) -> list[Order]:
    """Orders accepted, as the API does it, in a line of a tenant; the next one is about to be queued."""
    engine = Engine(Catalogue(site.store), choose_device("cpu"))
    pixels, labels = drawings()
    record, support = engine.accept(TaskRequest(base="omniglot", inputs=pixels, labels=labels))
    made = []
    for _ in range(count):
        order = Order(id=new_id("mdl"), tenant=TENANT, kind="adapt", spec={"record": record}, created_at=now())
        accept(site.store, order, support)
        made.append(order)
    return made


def drained(site: Site, orders: list[Order]) -> float:
    """Seconds until all have an outcome."""
    started = time.perf_counter()
    for order in orders:
        site.enqueue("adapt", **order.queue_call())
    for order in reversed(orders):
        until(lambda order=order: load_outcome(site.store, TENANT, order.id), seconds=300)  # type: ignore[misc]
    return time.perf_counter() - started


def costs(orders: int) -> Row:
    """Of one order, as mean of many that came over HTTP one after the other."""
    pixels, labels = drawings()
    body = json.dumps({"base": "omniglot", "support": {"inputs": forms(pixels)["npy"], "labels": labels}}).encode()
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:
        ground = Ground(Path(folder), apis=1, workers=1)
        try:
            ground.wait_until_ready()
            port, api, worker = ground.ports[0], ground.apis[0].pid, ground.workers[0].pid
            Load(port, "/adapt", lambda: body, clients=1, requests=8).run()
            before = spent(ground, api, worker)
            Load(port, "/adapt", lambda: body, clients=2, requests=orders // 2).run()
            after = spent(ground, api, worker)
            each = {name: (after[name] - before[name]) / (orders // 2 * 2) for name in after}
            each["Redis bytes waiting"] = bytes_waiting(ground, orders)
        finally:
            ground.close()
    return {"what": "one order", **each, "load": os.getloadavg()[0]}


def spent(ground: Ground, api: int, worker: int) -> dict[str, float]:
    """Totals so far."""
    redis = ground.redis.info()
    files = [path for path in (ground.folder / "store").rglob("*") if path.is_file()]
    return {
        "Redis commands": redis["total_commands_processed"],
        "Redis CPU ms": 1e3 * (redis["used_cpu_user"] + redis["used_cpu_sys"]),
        "Redis bytes in and out": redis["total_net_input_bytes"] + redis["total_net_output_bytes"],
        "Redis bytes kept": redis["used_memory_dataset"],
        "API CPU ms": 1e3 * cpu_seconds(api),
        "worker CPU ms": 1e3 * cpu_seconds(worker),
        "store objects": len(files),
        "store bytes": sum(path.stat().st_size for path in files),
    }


def bytes_waiting(ground: Ground, orders: int) -> float:
    """Memory of Redis for each order in a line that nobody serves."""
    before = ground.redis.info()["used_memory"]
    for _ in range(orders):
        call = Order(id=new_id("mdl"), tenant="nobody", kind="adapt", spec={}, created_at=now()).queue_call()
        ground.queue("adapt", "nobody").enqueue_call(**call)
    return float(ground.redis.info()["used_memory"] - before) / orders


def on_paper(cost: Row, times: int) -> Row:
    """So many times the adapts a second of one worker: what each part has to bear, and which is the first too small."""
    pace = times * 1e3 / cost["worker CPU ms"]
    shares = {
        "worker cores": pace * cost["worker CPU ms"] / 1e3,
        "API cores": pace * cost["API CPU ms"] / 1e3,
        "share of one Redis": pace * cost["Redis CPU ms"] / 1e3,
        "store MB/s": pace * cost["store bytes"] / 1e6,
        "store objects/day": 86_400 * pace * cost["store objects"],
    }
    return {"what": f"{times:,} times one worker", "adapts_per_second": pace, **shares}


def beside(what: str, one: float, two: float, ratio: float) -> Row:
    """One process and two."""
    return {"what": what, "one": one, "two": two, "ratio": ratio, "wanted": "≥ 1.7", "load": os.getloadavg()[0]}


if __name__ == "__main__":
    main()

"""One process that answers for many adapted models, a random one each request of 1–5 inputs; one thread.

python -m benchmarks.multi_tenant [--most 100000] [--requests 960]

Beside it, one module per model asked one request at a time, as a model server does. The models are ProtoNets of five
classes on the shipped Conv4-64; requests come in the batches that sixteen clients fill.
"""

import argparse
import itertools
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from app.cache import ModelCache
from benchmarks.interleaved import in_turns, row
from benchmarks.limit import limit_ms
from benchmarks.plain import PlainProtoNet, plain_conv4
from benchmarks.record import write
from meta_core.artifact import pack
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine
from meta_core.ids import result_key
from meta_core.process import prepare_process
from meta_core.store import Store

TENANT, TOGETHER, COMPARED = "default", 16, 1000
CACHE = 256 << 20
"""Bytes; holds about half of 100,000 models, so that the largest number is beyond it."""


def main() -> None:
    """Measure each number of models."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--most", type=int, default=100_000)
    arguments.add_argument("--requests", type=int, default=960)
    given = arguments.parse_args()
    prepare_process(1)
    torch.manual_seed(0)
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        ids = fill(Path(folder), given.most)
        engine = Engine(Catalogue(store), torch.device("cpu"))
        counts = [count for count in (10, 100, 1000, 10_000, 100_000) if count <= given.most]
        rows = [throughput(engine, store, ids[:count], given.requests, rng) for count in counts]
        rows.append(cold(ModelCache(store, CACHE), rng.sample(ids, min(1000, len(ids)))))
        rows.append(compared(engine, store, ids[:COMPARED], given.requests, rng))
    write("multi_tenant", f"python -m benchmarks.multi_tenant --most {given.most} --requests {given.requests}", rows)


def fill(folder: Path, count: int) -> list[str]:
    """Adapted models in a store, alike but for their ids, and not synced to disk, which would take minutes."""
    ids = [f"mdl_{i:032x}" for i in range(count)]
    (folder / result_key(TENANT, ids[0])).parent.mkdir(parents=True)
    config = {"scale": 1.0}
    details = {"params": config, "shape": [1, 28, 28], "description": {}, "calibration": 1.0}
    asked = {"base": "omniglot@1", "learner": "protonet", "task": "classification", "classes": list("abcde")}
    header = {"tenant": TENANT, "kind": "adapt", "status": "ready", "details": details}
    state = {"prototypes": torch.randn(5, 64)}
    for id in ids:
        (folder / result_key(TENANT, id)).write_bytes(pack(state, {**header, "record": {"id": id, **asked}}))
    return ids


def throughput(engine: Engine, store: Store, ids: list[str], requests: int, rng: random.Random) -> dict[str, Any]:
    """Requests a second, once as many models as fit are in the cache; and what a model takes in memory."""
    cache = ModelCache(store, CACHE)
    before = resident()
    for id in ids:
        cache.get(TENANT, id)
    kept = len(cache._models)
    bytes_each = (resident() - before) / kept
    ask = asker(engine, cache, ids, rng)
    taken = in_turns({"ours": ask}, requests // TOGETHER)["ours"]
    return {
        "what": f"{len(ids):,} models",
        "requests_per_second": TOGETHER / statistics.median(taken),
        "models_in_cache": kept,
        "bytes_per_model": max(0.0, bytes_each),
    }


def asker(engine: Engine, cache: ModelCache, ids: list[str], rng: random.Random) -> Callable[[], Any]:
    """One batch of requests."""
    sizes = itertools.cycle((1, 2, 3, 4, 5))
    inputs = [torch.rand(5, 1, 28, 28) for _ in range(50)]

    def batch() -> Any:
        asked = [(rng.choice(ids), rng.choice(inputs)[: next(sizes)]) for _ in range(TOGETHER)]
        return engine.predict([(cache.get(TENANT, id), x) for id, x in asked])

    return batch


def cold(cache: ModelCache, ids: list[str]) -> dict[str, Any]:
    """Milliseconds to load a model that is not in the cache."""
    taken = []
    for id in ids:
        started = time.perf_counter()
        cache.get(TENANT, id)
        taken.append(time.perf_counter() - started)
    return {"what": "loading a model that is not in the cache", "median_ms": 1e3 * statistics.median(taken)}


def compared(engine: Engine, store: Store, ids: list[str], requests: int, rng: random.Random) -> dict[str, Any]:
    """The same requests to 1,000 models, beside one module for each that has a copy of the body."""
    cache = ModelCache(store, CACHE)
    ask = asker(engine, cache, ids, rng)
    base = engine.catalogue.get("omniglot")
    trained = base.spec.build(base.spec.shape, "classification")
    trained.load_state_dict(base.weights)
    modules = [own_module(trained.backbone) for _ in ids]
    sizes = itertools.cycle((1, 2, 3, 4, 5))
    inputs = [torch.rand(5, 1, 28, 28) for _ in range(50)]

    @torch.no_grad()
    def one_at_a_time() -> None:
        for _ in range(TOGETHER):
            x: Tensor = rng.choice(inputs)[: next(sizes)]
            rng.choice(modules)(x).softmax(-1).tolist()

    taken = in_turns({"shared body, heads together": ask, "nn.Module.eval": one_at_a_time}, requests // TOGETHER)
    what = f"{TOGETHER} requests of 1–5 inputs to {len(ids):,} models"
    beside = row(what, taken, "shared body, heads together", "nn.Module.eval", "≥ 6")
    return {**beside, "limit_ms": limit_ms(3 * TOGETHER)}


def own_module(body: nn.Module) -> nn.Module:
    """A model of its own, adapted."""
    module = PlainProtoNet(plain_conv4(body)).requires_grad_(False)
    module.prototypes = torch.randn(5, 64)
    return module


def resident() -> int:
    """Bytes of memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()

"""One more example for a 20-way 5-shot model of `omniglot`, beside the encoding of that example; processor time.

python -m benchmarks.incremental [--rounds 100]
"""

import argparse
import tempfile
from typing import Any

import torch

from benchmarks.interleaved import in_turns, row
from benchmarks.record import write
from meta_core.artifact import pack
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine
from meta_core.kept import encode_support
from meta_core.orders import Order
from meta_core.process import prepare_process
from meta_core.quality import adapt_and_leave_out
from meta_core.store import Store
from meta_core.types import Support

WAYS, SHOTS = 20, 5
LEARNERS = ("protonet", "simpleshot", "mahalanobis", "ridge")


def main() -> None:
    """Measure each learner."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=100)
    rounds = arguments.parse_args().rounds
    prepare_process(1)
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(Catalogue(Store(folder)), torch.device("cpu"))
        rows = [line for name in LEARNERS for line in measured(engine, name, rounds)]
    write("incremental", f"python -m benchmarks.incremental --rounds {rounds}", rows)


def measured(engine: Engine, name: str, rounds: int) -> list[dict[str, Any]]:
    """The state of the next version, the same with its scores, and the whole order, each against the encoding alone."""
    base = engine.catalogue.get("omniglot")
    config = base.spec.learners["classification"][1] if name == "protonet" else {}
    learner = base.learner_for(name, config, base.spec.shape, "classification").inference()
    torch.manual_seed(0)
    x, y = torch.rand(WAYS * SHOTS + 1, *base.spec.shape), torch.arange(WAYS * SHOTS + 1) % WAYS
    with torch.no_grad():
        z = learner.encode(x)
    changed = {"x": x, "y": y, "embeddings": z[:-1]}
    record = {"base": base.reference, "learner": name, "params": learner.config.model_dump(mode="json")}
    record |= {"task": "classification", "classes": list(range(WAYS))}
    order = Order(id="", tenant="default", kind="adapt", spec={"record": record}, created_at="")

    kept, bare = (pack(tensors, {"description": {}}) for tensors in (changed, {"x": x, "y": y}))
    cpu = torch.device("cpu")

    def support() -> Support:
        return Support(encode_support(learner, changed, cpu)["x"], y, WAYS)

    sides = {
        "its state": lambda: learner.adapt(support()),
        "with leave-one-out": lambda: adapt_and_leave_out(learner, support()),
        "the whole order": lambda: engine.adapt_order(order, kept),
        "the order from scratch": lambda: engine.adapt_order(order, bare),
        "the encoding": lambda: learner.encode(x[-1:]),
    }
    with torch.no_grad():
        taken = in_turns(sides, rounds)
    wanted = {"its state": "≥ 0.77 (1 / 1.3)"}
    return [row(f"{name}, {ours}", taken, ours, "the encoding", wanted.get(ours, "")) for ours in list(sides)[:-1]]


if __name__ == "__main__":
    main()

"""Tasks adapted in one pass, as the switch for this CPU has it, beside one after the other; one thread.

python -m benchmarks.one_pass [--rounds 15]
"""

import argparse
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.interleaved import in_turns, row
from benchmarks.record import write
from meta_core import mapped
from meta_core.ahead import adapt_together
from meta_core.backbone import build_backbone
from meta_core.base import Base, BaseSpec
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine, TaskRequest
from meta_core.ids import new_id
from meta_core.learner import build_learner
from meta_core.orders import Order
from meta_core.process import prepare_process
from meta_core.store import Store
from meta_core.types import Support
from worker.lines import TOGETHER

CPU = torch.device("cpu")
Accepted = tuple[Order, bytes]


def main() -> None:
    """Measure each case."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=15)
    rounds = arguments.parse_args().rounds
    prepare_process(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        engine = Engine(Catalogue(Store(folder)), CPU)
        rows = [*orders_alone(engine, rounds), *turns(engine, rounds), *convolutions(max(1, rounds // 5))]
    write("one_pass", f"python -m benchmarks.one_pass --rounds {rounds}", rows)


def orders_alone(engine: Engine, rounds: int) -> Iterator[dict[str, Any]]:
    """A single order: its left-out examples are the tasks."""
    for number in (10, 25, 50, 100):
        for learner in ("auto", "incontext"):
            order, support = accepted(engine, "table-incontext", number, 8, learner)
            what = f"an order of {number} rows, {learner}"
            yield compared(what, lambda o=order, s=support: engine.adapt_order(o, s), rounds)


def turns(engine: Engine, rounds: int) -> Iterator[dict[str, Any]]:
    """The orders of one turn of a worker, from the kept support set to the outcome."""
    for name, learner, width in (("maml", "maml", 64), ("anil", "anil", 64), ("cnp", "cnp", 64)):
        publish(engine, name, learner, width)
        orders = [accepted(engine, name, 25, 16, learner) for _ in range(TOGETHER)]
        what = f"{TOGETHER} orders of 25 vectors, {learner} on an MLP"
        yield compared(what, lambda some=orders: turn(engine, some), rounds)


def convolutions(rounds: int) -> Iterator[dict[str, Any]]:
    """Why convolutions that move go one by one on a CPU."""
    body = build_backbone("conv4", (1, 28, 28), {"norm": "group"})
    learner = build_learner("maml", body, {}, "classification").eval().requires_grad_(False)
    tasks = [Support(torch.rand(5, 1, 28, 28), torch.arange(5), 5) for _ in range(8)]
    nothing = [task.x[:0] for task in tasks]

    def adapt(task: Support, _: torch.Tensor) -> dict[str, torch.Tensor]:
        return learner.adapt(task)

    sides = {
        "one pass": lambda: mapped.in_one_pass(adapt, tasks, nothing),
        "one by one": lambda: mapped.each(adapt, tasks, nothing, None),
    }
    taken = in_turns(sides, rounds, warm=1)
    yield row("8 tasks of 5 images, maml on conv4 (not done so)", taken, "one pass", "one by one", "")


def turn(engine: Engine, orders: list[Accepted]) -> None:
    """What `worker.ahead` and the jobs after it do, without Redis and store."""
    opened = [engine.open(*one) for one in orders]
    for one in adapt_together(opened, CPU):
        engine.adapt(one)


def compared(what: str, call: Callable[[], Any], rounds: int) -> dict[str, Any]:
    """With the switch as it is, and turned off."""

    def one_by_one() -> None:
        with switched_off():
            call()

    return row(
        what, in_turns({"one pass": call, "one by one": one_by_one}, rounds, warm=2), "one pass", "one by one", ""
    )


@contextlib.contextmanager
def switched_off() -> Iterator[None]:
    """No device has room for several tasks in one pass."""
    kept = dict(mapped.ROOMS)
    mapped.ROOMS.clear()
    try:
        yield
    finally:
        mapped.ROOMS.update(kept)


def publish(engine: Engine, name: str, learner: str, width: int) -> None:
    """A base model of that name with random weights, for vectors of 16 numbers."""
    spec = BaseSpec(
        modality="vector",
        backbone="mlp",
        backbone_config={"width": width},
        learners={"classification": (learner, {})},
        shape=(16,),
    )
    weights = spec.build(spec.shape, "classification").state_dict()
    base = Base(name=name, version=1, summary="", spec=spec, weights=weights, provenance={}, scores={})
    engine.catalogue.publish(base, new_id("job"))


def accepted(engine: Engine, base: str, number: int, columns: int, learner: str) -> Accepted:
    """An order of so many random rows of five classes."""
    x = np.random.default_rng(number).normal(size=(number, columns))
    inputs = (
        [{f"c{i}": value for i, value in enumerate(one)} for one in x.tolist()] if base.startswith("table") else list(x)
    )
    labels = [f"class {i % 5}" for i in range(number)]
    record, support = engine.accept(TaskRequest(base=base, inputs=inputs, labels=labels, learner=learner))
    return Order(id=new_id("mdl"), tenant="default", kind="adapt", spec={"record": record}, created_at=""), support


if __name__ == "__main__":
    main()

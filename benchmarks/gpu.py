"""What a GPU brings: bodies in each form, tasks adapted in one pass and one by one, and a worker's orders.

python -m benchmarks.gpu [--rounds 30] [--compile] [--rehearse]

Ends at once where there is no GPU. `--rehearse` runs everything small on the CPU, as on a GPU, and records nothing.
Meta-training on a GPU: python -m benchmarks.meta_training --device cuda --tasks 32
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.interleaved import in_turns
from benchmarks.one_pass import switched_off
from benchmarks.record import write
from meta_core import mapped
from meta_core.ahead import adapt_together
from meta_core.backbone import Backbone, build_backbone
from meta_core.base import Base, BaseSpec
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine, TaskRequest
from meta_core.fastest import on_gpu
from meta_core.graphed import GraphedBody
from meta_core.ids import new_id
from meta_core.learner import Learner, build_learner
from meta_core.orders import Order
from meta_core.process import prepare_process
from meta_core.quality import adapt_and_leave_out, adapt_and_leave_out_each
from meta_core.store import Store
from meta_core.types import Support
from worker.lines import TOGETHER_ON_GPU

WAYS, SHOTS = 5, 5
BODIES: dict[str, tuple[int, ...]] = {"conv4": (1, 28, 28), "resnet12": (3, 84, 84)}
IMAGES = (1, 4, 16, 25, 64, 256)
TASKS = (1, 8, 32)
LEARNERS: dict[str, dict[str, Any]] = {"maml": {"norm": "group"}, "anil": {}, "protonet": {}, "finetune": {}}
"""And the settings of the body."""
Row = dict[str, Any]


def main() -> None:
    """Measure, or say why not."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=30)
    arguments.add_argument("--compile", action="store_true", help="what inductor makes of the bodies too")
    arguments.add_argument("--rehearse", action="store_true")
    given = arguments.parse_args()
    if not (given.rehearse or torch.cuda.is_available()):
        raise SystemExit("there is no GPU that this PyTorch can use; nothing was measured")
    prepare_process(1)
    torch.manual_seed(0)
    if given.rehearse:
        rehearse()
        return
    rows = [*encoding(torch.device("cuda"), given.rounds, IMAGES, compiling=given.compile)]
    rows += [*adapting(torch.device("cuda"), given.rounds, TASKS)]
    rows += [*working(torch.device("cuda"), given.rounds, TOGETHER_ON_GPU)]
    write("gpu", f"python -m benchmarks.gpu --rounds {given.rounds}{' --compile' * given.compile}", rows)


def rehearse() -> None:
    """Everything once, in the ways of a GPU."""
    cpu = torch.device("cpu")
    mapped.ROOMS.update({("cpu", True): mapped.ON_GPU, ("cpu", False): mapped.ON_GPU})
    for row in (*encoding(cpu, 1, (1, 4), compiling=False), *adapting(cpu, 1, (1, 2)), *working(cpu, 1, 2)):
        print(row)


@torch.inference_mode()
def encoding(device: torch.device, rounds: int, images: tuple[int, ...], *, compiling: bool) -> Iterator[Row]:
    """Images a second of each form that is tried when a body is loaded."""
    for name, shape in BODIES.items():
        body = build_backbone(name, shape, {}).to(device).eval().requires_grad_(False).inference()
        forms: dict[str, Backbone] = {"float32": body}
        for form, make, _ in on_gpu(body, compiling, GraphedBody):
            if device.type == "cuda" or "graphs" not in form:
                forms[form] = make()
        for number in images:
            x = torch.rand(number, *shape, device=device)
            taken = timed({form: lambda made=made, x=x: made(x) for form, made in forms.items()}, rounds, device)
            for form, seconds in taken.items():
                yield {"what": f"{name}, {shape}", "form": form, "images": number, "per_second": number / seconds}


@torch.no_grad()
def adapting(device: torch.device, rounds: int, tasks: tuple[int, ...]) -> Iterator[Row]:
    """Adapts a second, left-out examples included, of several encoded support sets."""
    for name, values in LEARNERS.items():
        body = build_backbone("conv4", BODIES["conv4"], values)
        learner = build_learner(name, body, {}, "classification").to(device).eval().requires_grad_(False)
        for number in tasks:
            supports = [support(learner, device) for _ in range(number)]
            if not learner.adapts_again() or learner.room(device) is None:
                sides = {"one by one": lambda some=supports: [adapt_and_leave_out(learner, one) for one in some]}  # noqa: B023
            else:
                sides = {
                    "one by one": lambda some=supports: alone(learner, some),  # noqa: B023
                    "one pass": lambda some=supports: adapt_and_leave_out_each(learner, some),  # noqa: B023
                }
            taken = timed(sides, rounds, device)
            for how, seconds in taken.items():
                yield {"what": f"{name}, 5-way 5-shot", "form": how, "tasks": number, "per_second": number / seconds}


def support(learner: Learner, device: torch.device) -> Support:
    """Random images, encoded."""
    x = torch.rand(WAYS * SHOTS, *BODIES["conv4"], device=device)
    return Support(learner.encode(x), torch.arange(WAYS, device=device).repeat(SHOTS), WAYS)


def alone(learner: Learner, supports: list[Support]) -> None:
    """Nothing in one pass, not even the left-out examples of a task."""
    with switched_off():
        for one in supports:
            adapt_and_leave_out(learner, one)


def working(device: torch.device, rounds: int, number: int) -> Iterator[Row]:
    """Orders a second as a worker adapts them, from the support set as it was kept to the outcome."""
    for learner in LEARNERS:
        with tempfile.TemporaryDirectory() as folder:
            engine = Engine(Catalogue(Store(folder)), device)
            orders = [accepted(engine, published(engine, learner)) for _ in range(number)]
            sides = {
                "one by one": lambda e=engine, some=orders: [e.adapt_order(*one) for one in some],
                "one pass": lambda e=engine, some=orders: [
                    e.adapt(one) for one in adapt_together([e.open(*order) for order in some], e.device)
                ],
            }
            for how, seconds in timed(sides, rounds, device).items():
                what = f"{number} orders, {learner}, scored"
                yield {"what": what, "form": how, "tasks": number, "per_second": number / seconds}


def published(engine: Engine, learner: str) -> Base:
    """A base model with random weights."""
    body = LEARNERS[learner]
    spec = BaseSpec(
        modality="image",
        modality_config={"channels": 1, "size": 28},
        backbone="conv4",
        backbone_config=body,
        learners={"classification": (learner, {})},
        shape=BODIES["conv4"],
    )
    weights = spec.build(spec.shape, "classification").state_dict()
    base = Base(name="bench", version=1, summary="", spec=spec, weights=weights, provenance={}, scores={})
    return engine.catalogue.publish(base, "job")


def accepted(engine: Engine, base: Base) -> tuple[Order, bytes]:
    """An order of 25 random drawings for the base model's own learner."""
    x = np.random.default_rng(0).integers(0, 256, (WAYS * SHOTS, 28, 28), np.uint8)
    name = base.spec.learners["classification"][0]
    labels = [f"class {i % WAYS}" for i in range(WAYS * SHOTS)]
    record, content = engine.accept(TaskRequest(base=base.reference, inputs=list(x), labels=labels, learner=name))
    return Order(id=new_id("mdl"), tenant="default", kind="adapt", spec={"record": record}, created_at=""), content


def timed(sides: dict[str, Callable[[], Any]], rounds: int, device: torch.device) -> dict[str, float]:
    """Median seconds of each, once the GPU has done it."""

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    taken = in_turns(sides, rounds, warm=3 if device.type == "cuda" else 0, clock=clock)
    return {side: statistics.median(seconds) for side, seconds in taken.items()}


if __name__ == "__main__":
    main()

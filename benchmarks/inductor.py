"""Whether PyTorch's inductor would encode sooner on a CPU than what a body is run by; one thread.

python -m benchmarks.inductor [--rounds 30]
"""

import argparse
import time
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.interleaved import in_turns, row
from benchmarks.record import write
from meta_core.backbone import build_backbone
from meta_core.fastest import fastest
from meta_core.process import prepare_process

BODIES: dict[str, tuple[int, ...]] = {"conv4": (1, 28, 28), "spectrogram-conv": (1, 40, 101), "resnet12": (3, 84, 84)}
IMAGES = (1, 25)


def main() -> None:
    """Measure each body."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=30)
    rounds = arguments.parse_args().rounds
    prepare_process(1)
    torch.manual_seed(0)
    rows = [one for name in BODIES for one in beside(name, rounds)]
    write("inductor", f"python -m benchmarks.inductor --rounds {rounds}", rows)


@torch.no_grad()
def beside(name: str, rounds: int) -> Iterator[dict[str, Any]]:
    """The plain form and the one that is used, compiled and not, for a query and a usual support set."""
    shape = BODIES[name]
    body = build_backbone(name, shape, {}).eval().requires_grad_(False).inference()
    used = fastest(body, torch.device("cpu"))
    # its own form for each number of inputs, which suits it best
    compiled = torch.compile(body, dynamic=False, options={"freezing": True, "compile_threads": 1})
    started = time.perf_counter()
    for number in IMAGES:
        x = torch.rand(number, *shape)
        assert (compiled(x) - body(x)).norm() <= 1e-5 * body(x).norm()
    seconds = time.perf_counter() - started
    for number in IMAGES:
        x = torch.rand(number, *shape)
        sides = {"PyTorch": lambda x=x: body(x), "inductor": lambda x=x: compiled(x)}
        if used is not body:
            sides["ONNX Runtime"] = lambda x=x: used(x)
        taken = in_turns(sides, rounds if name != "resnet12" else max(1, rounds // 5))
        for ours in (side for side in sides if side != "inductor"):
            what = f"{name}, {number} input{'s' * (number > 1)}"
            yield row(what, taken, ours, "inductor", "") | {"compile_seconds": seconds}


if __name__ == "__main__":
    main()

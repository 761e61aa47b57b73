"""The form of a body that is fastest on this machine, found by measuring when it is loaded."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch

from meta_core.backbone import Backbone
from meta_core.chain import Chain
from meta_core.compiled import CompiledBody
from meta_core.errors import BrokenOff
from meta_core.graphed import GraphedBody
from meta_core.onnx_form import INSTALLED, OnnxChain

SIZES = (1, 25)
"""Inputs in one pass for which forms are timed: a query, and a usual support set."""
ROUNDS = 7
AGREE = 1e-5
"""The most that embeddings may differ by, relative to their norm,"""
AGREE_IN_TF32 = 2e-3
"""on a GPU, whose convolutions multiply numbers rounded to 10 bits, in an order that depends on the size of a batch,"""
AGREE_IN_HALF = 1e-2
"""and where they were multiplied in bfloat16."""

log = logging.getLogger(__name__)


def fastest(body: Backbone, device: torch.device, *, compiling: bool = False) -> Backbone:
    """The body, or the same map in the form that of those which answer alike is the fastest.

    On a CPU that may be ONNX Runtime for plain convolutions. On a GPU, for all bodies of images and spectrograms,
    bfloat16, what inductor compiles where that is wanted, and each of these replayed as CUDA graphs.
    """
    best, least = body, 1.0
    for name, make, tolerance in _others(body, device, compiling):
        try:
            other = make()
            ratio = _ratio(body, other, device, tolerance)
        except Exception as error:  # whatever a runtime for some other processor may raise: it is not needed
            if (reason := _broken_off(error)) is not None:
                raise reason from None
            log.warning("%s cannot carry this body out: %s", name, error)
            continue
        if ratio is None:
            log.warning("%s answers differently by more than %g and is not used", name, tolerance)
            continue
        log.debug("%s encodes in %.2f of the time", name, ratio)
        if ratio < least:
            best, least = other, ratio
    return best


def _broken_off(error: BaseException | None) -> BrokenOff | None:
    """What stopped the work from outside, where that is what was raised; compilers wrap whatever they are ended by."""
    while error is not None and not isinstance(error, BrokenOff):
        error = error.__context__
    return error


def in_half_precision(body: Backbone) -> Backbone:
    """The same body with the same weights, multiplying in bfloat16."""
    same = copy.copy(body)
    same.half_precision = True
    return same


def _others(
    body: Backbone, device: torch.device, compiling: bool
) -> Iterator[tuple[str, Callable[[], Backbone], float]]:
    """Name of each other form, how to make it, and how far it may differ."""
    if device.type == "cpu" and isinstance(body, Chain) and INSTALLED:
        yield "ONNX Runtime", lambda: OnnxChain(body), AGREE
    if device.type == "cuda" and len(body.shape) == 3:
        yield from on_gpu(body, compiling, GraphedBody)


def on_gpu(
    body: Backbone, compiling: bool, graphed: Callable[[Backbone], Backbone]
) -> Iterator[tuple[str, Callable[[], Backbone], float]]:
    """The forms for a GPU; `graphed` makes of one that launches its operations one by one one that does not."""
    eager: list[tuple[str, Callable[[], Backbone], float]] = [
        ("float32", lambda: body, AGREE_IN_TF32),
        ("bfloat16", partial(in_half_precision, body), AGREE_IN_HALF),
    ]
    if compiling:
        eager += [(f"compiled {name}", partial(_made, CompiledBody, make), most) for name, make, most in eager]
    for name, make, most in eager:
        if name != "float32":
            yield name, make, most
        yield f"{name} in CUDA graphs", partial(_made, graphed, make), most


def _made(form: Callable[[Backbone], Backbone], make: Callable[[], Backbone]) -> Backbone:
    return form(make())


@torch.inference_mode()
def _ratio(body: Backbone, other: Backbone, device: torch.device, tolerance: float) -> float | None:
    """Geometric mean over `SIZES` of the other's time by the body's; None if they disagree."""
    logs = []
    for size in SIZES:
        x = torch.rand(size, *body.shape, generator=torch.Generator().manual_seed(0)).to(device)
        expected = body(x)
        if (other(x) - expected).norm() > tolerance * expected.norm():
            return None
        taken = [(_seconds(body, x), _seconds(other, x)) for _ in range(ROUNDS)]
        ours, its = (min(side) for side in zip(*taken, strict=True))
        logs.append(math.log(its / ours))
    return math.exp(sum(logs) / len(logs))


def _seconds(body: Backbone, x: torch.Tensor) -> float:
    """CPU time of this thread, so that what else runs does not count; on a GPU, by the clock."""
    if not x.is_cuda:
        started = time.thread_time()
        body(x)
        return time.thread_time() - started
    torch.cuda.synchronize()
    started = time.perf_counter()
    body(x)
    torch.cuda.synchronize()
    return time.perf_counter() - started

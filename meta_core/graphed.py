"""Bodies as CUDA graphs: all their operations launched at once, for a few numbers of inputs."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from meta_core.backbone import Backbone, Normalisation

SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of inputs that a graph is recorded for; others are filled up to the next, and beyond them launches hide."""
WARM_UP = 3


class Recording(NamedTuple):
    """What is run by `replay`: it reads `inputs` [N, *shape] and writes `outputs` [N, D], always the same memory."""

    inputs: Tensor
    outputs: Tensor
    replay: Callable[[], object]


Record = Callable[[Backbone, Sequence[int]], dict[int, Recording]]


def padded_size(inputs: int, sizes: Sequence[int]) -> int | None:
    """The smallest of the ascending sizes that holds so many inputs; None where none does."""
    return next((size for size in sizes if size >= inputs), None)


class GraphedBody(Backbone):
    """The same map as a body in `eval` mode; up to as many inputs as the largest recording holds, replayed.

    A row is embedded by itself, so that those a batch is filled up with, left from earlier ones, change nothing.
    """

    normalisation: Normalisation = "none"

    def __init__(self, body: Backbone, record: "Record | None" = None, sizes: Sequence[int] = SIZES) -> None:
        super().__init__(body.shape, body.config)
        self.dimension = body.dimension
        self.body = body
        self._sizes = sizes
        self._recordings = (record or cuda_graphs)(body, sizes)
        self._alone = threading.Lock()  # the memory of a recording serves one batch at a time

    def forward(self, x: Tensor) -> Tensor:
        """[N, *shape] to [N, D]."""
        size = padded_size(len(x), self._sizes)
        if size is None or not len(x) or (torch.is_grad_enabled() and x.requires_grad):
            return self.body(x)
        recording = self._recordings[size]
        with self._alone:
            recording.inputs[: len(x)].copy_(x)
            recording.replay()
            return recording.outputs[: len(x)].clone()


@torch.no_grad()
def cuda_graphs(body: Backbone, sizes: Sequence[int]) -> dict[int, Recording]:
    """A CUDA graph of the body for each size, on the device of the current stream; they share their memory."""
    pool = torch.cuda.graph_pool_handle()
    return {size: _cuda_graph(body, size, pool) for size in sorted(sizes, reverse=True)}  # the largest takes the most


def _cuda_graph(body: Backbone, size: int, pool: Any) -> Recording:
    inputs = torch.zeros(size, *body.shape, device=_device(body))
    beside = torch.cuda.Stream(inputs.device)  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream(inputs.device))
    with torch.cuda.stream(beside):  # kernels are chosen, and compiled, at their first runs
        for _ in range(WARM_UP):
            body(inputs)
    torch.cuda.current_stream(inputs.device).wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):  # other threads may allocate meanwhile
        outputs = body(inputs)
    return Recording(inputs, outputs, graph.replay)


def _device(body: Backbone) -> torch.device:
    return next((value.device for value in (*body.parameters(), *body.buffers())), torch.device("cuda"))

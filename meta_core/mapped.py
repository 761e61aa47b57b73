"""The same arithmetic for several tasks, in one pass over them where that pays: mapped by `torch.func.vmap`."""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from meta_core.grouping import groups
from meta_core.types import State, Support

log = logging.getLogger(__name__)

_over_tasks: ContextVar[bool] = ContextVar("over_tasks", default=False)


class Room(NamedTuple):
    """Of what size tasks go sooner in one pass than one after the other."""

    fewest: int
    """Tasks of a pass."""
    numbers: int
    """Numbers of the inputs of a pass, at most."""
    examples: int
    """Of each task, at most."""

    def holds(self, task: Support) -> int:
        """How many tasks of that size may share a pass; 0 where it is better to take them one after the other."""
        most = self.numbers // max(1, task.x.numel()) if len(task) <= self.examples else 0
        return most if most >= self.fewest else 0


ON_CPU = Room(fewest=8, numbers=1 << 15, examples=100)
"""What a loop loses between small operations; larger ones fill a core, and would only leave its cache."""
ON_GPU = Room(fewest=2, numbers=1 << 21, examples=sys.maxsize)
"""A GPU waits for each operation to be launched; the bound keeps what a pass holds in memory within a few GB."""


ROOMS = {("cuda", True): ON_GPU, ("cuda", False): ON_GPU, ("cpu", False): ON_CPU, ("mps", False): ON_CPU}
"""By the kind of device, and whether what is done for each task has convolutions of its own.

On a CPU `vmap` makes grouped convolutions of those, slower than a loop; products of matrices gain.
"""


def room(device: torch.device, *, convolutions: bool) -> Room | None:
    """The one switch for tasks in one pass, by device and body; None where they are taken one after the other."""
    return ROOMS.get((device.type, convolutions))


def mapped_over_tasks() -> bool:
    """Whether what is computed here may be mapped over tasks by `vmap`."""
    return _over_tasks.get()


@contextlib.contextmanager
def over_tasks() -> Iterator[None]:
    """Inside, inner loops can be mapped over tasks by `vmap`."""
    token = _over_tasks.set(True)
    try:
        yield
    finally:
        _over_tasks.reset(token)


Compute = Callable[[Support, Tensor], State]
"""Of a task and its queries [Q, *shape]."""


def each(compute: Compute, tasks: Sequence[Support], queries: Sequence[Tensor], room: Room | None) -> list[State]:
    """What is computed for each task, in passes over those that are alike where there is room for them."""
    found: dict[int, State] = {}
    for places in _passes(tasks, queries, room):
        some, asked = [tasks[i] for i in places], [queries[i] for i in places]
        found |= zip(places, _together_or_not(compute, some, asked, room), strict=True)
    return [found[i] for i in range(len(tasks))]


def _together_or_not(
    compute: Compute, tasks: Sequence[Support], queries: Sequence[Tensor], room: Room | None
) -> list[State]:
    if room is not None and len(tasks) >= room.fewest:
        try:
            return in_one_pass(compute, tasks, queries)
        except torch.OutOfMemoryError:
            log.warning("no memory for %d tasks in one pass; they go one by one", len(tasks))
    return [compute(task, x) for task, x in zip(tasks, queries, strict=True)]


def in_one_pass(compute: Compute, tasks: Sequence[Support], queries: Sequence[Tensor]) -> list[State]:
    """What is computed for each of several tasks of the same shapes, which must be done without looking at values."""
    ways = tasks[0].ways
    stacked = [torch.stack(part) for part in ([t.x for t in tasks], [t.y for t in tasks], list(queries))]
    with over_tasks():
        together = vmap(lambda x, y, asked: compute(Support(x, y, ways), asked))(*stacked)
    rows = {name: value.unbind() for name, value in together.items()}
    return [{name: row[i] for name, row in rows.items()} for i in range(len(tasks))]


def _passes(tasks: Sequence[Support], queries: Sequence[Tensor], room: Room | None) -> Iterator[list[int]]:
    """Positions of tasks of the same shapes, as many as there is room for."""
    sizes = [(task.x.shape, task.y.shape, task.ways, x.shape) for task, x in zip(tasks, queries, strict=True)]
    for alike in groups(sizes).values():
        most = (room.holds(tasks[alike[0]]) if room else 0) or 1
        yield from (alike[i : i + most] for i in range(0, len(alike), most))

"""Drawing tasks: where episodes for meta-training and evaluation come from."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from meta_core.errors import InvalidTask
from meta_core.types import Episode, Support, Task


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large an episode is: classes, support examples per class, queries per class.

    For regression `ways` is not used: `shots` and `queries` count the points.
    """

    ways: int = 5
    shots: int = 1
    queries: int = 15


class TaskSource(ABC):
    """Draws episodes; all randomness comes from the generator that is passed in."""

    task: Task
    shape: tuple[int, ...]
    """Shape of one input."""

    @abstractmethod
    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        """One episode. Raises `InvalidTask` when there are not enough examples for it."""

    def draw_alike(self, size: Size, tasks: int, rng: torch.Generator) -> list[Episode]:
        """The tasks of one step; a source that varies its sizes draws them once, so that one pass takes all tasks."""
        return [self.draw(size, rng) for _ in range(tasks)]

    def fitted(self, size: Size) -> Size:
        """That size, of no more classes than there are enough examples of, but of two at least."""
        return size


ENCODED_AT_ONCE = 256

Augment = Callable[[Tensor, torch.Generator], Tensor]


class ClassSource(TaskSource):
    """Classification episodes from labelled examples: `x` [M, *shape], `y` [M] integer labels.

    Classes, their order, and their examples are drawn uniformly without replacement. Images may be kept as uint8 and
    are scaled to 0–1 when drawn. `augment` changes the drawn inputs (training only).
    """

    task: Task = "classification"

    def __init__(self, x: Tensor, y: Tensor, augment: Augment | None = None) -> None:
        self.x = x
        self.shape = tuple(x.shape[1:])
        self.augment = augment
        order = torch.argsort(y, stable=True)
        counts = torch.unique(y, return_counts=True)[1]
        self.members = torch.split(order, counts.tolist())

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        """`shots` examples of each of `ways` classes to learn from, `queries` of each to be graded on."""
        chosen = draw_members(self.members, size, rng)  # [ways, shots + queries]
        return split_episode(self.read(chosen.flatten(), rng), chosen, size)

    def fitted(self, size: Size) -> Size:
        """As any source does."""
        return replace(size, ways=min(size.ways, max(2, len(eligible(self.members, size)))))

    def read(self, chosen: Tensor, rng: torch.Generator) -> Tensor:
        """The examples at these indices [N], changed if they are to be, [N, *shape]."""
        x = scaled(self.x[chosen])
        return x if self.augment is None else self.augment(x, rng)

    def replaced(self, x: Tensor) -> "ClassSource":
        """The same episodes with other inputs [M, ...] for the same examples; nothing is augmented."""
        other = copy.copy(self)
        other.x, other.shape, other.augment = x, tuple(x.shape[1:]), None
        return other

    @torch.no_grad()
    def encoded(self, encode: Callable[[Tensor], Tensor]) -> "ClassSource":
        """The same episodes as embeddings, each example encoded once."""
        return self.replaced(torch.cat([encode(scaled(x)) for x in torch.split(self.x, ENCODED_AT_ONCE)]))  # [M, D]


def scaled(x: Tensor) -> Tensor:
    """Numbers as they are, and so the bytes of texts [N, length]; uint8 images [N, C, H, W] from 0 to 1."""
    return x.float() / 255 if x.dtype == torch.uint8 and x.dim() > 2 else x.float()


def draw_members(members: tuple[Tensor, ...], size: Size, rng: torch.Generator) -> Tensor:
    """Indices of the examples of one episode, [ways, shots + queries]."""
    needed = size.shots + size.queries
    enough = eligible(members, size)
    if len(enough) < size.ways:
        raise InvalidTask(
            f"{size.ways}-way {size.shots}-shot with {size.queries} queries needs {size.ways} classes of "
            f"{needed} examples; only {len(enough)} have that many"
        )
    classes = torch.randperm(len(enough), generator=rng)[: size.ways].tolist()
    rows = [enough[c][torch.randperm(enough[c].shape[0], generator=rng)[:needed]] for c in classes]
    return torch.stack(rows)


def eligible(members: tuple[Tensor, ...], size: Size) -> list[Tensor]:
    """The classes with enough examples for an episode, each as the indices of its members."""
    needed = size.shots + size.queries
    return [m for m in members if m.shape[0] >= needed]  # len(m) takes ten times as long


def split_episode(x: Tensor, chosen: Tensor, size: Size) -> Episode:
    """An episode from inputs [ways · (shots + queries), *shape] that lie class by class."""
    ways = len(chosen)
    x = x.view(*chosen.shape, *x.shape[1:])  # [ways, shots + queries, *shape]
    labels = torch.arange(ways)[:, None].expand(chosen.shape)
    s = size.shots
    support = Support(x[:, :s].flatten(0, 1), labels[:, :s].flatten(), ways)
    return Episode(support, x[:, s:].flatten(0, 1), labels[:, s:].flatten())

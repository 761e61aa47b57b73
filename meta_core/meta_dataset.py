"""Tasks of varying size and balance, as Meta-Dataset draws them."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from meta_core.episodes import ClassSource, Size, TaskSource
from meta_core.errors import InvalidTask
from meta_core.types import Episode, Support, Task

FEWEST_WAYS, MOST_WAYS = 5, 50
MOST_QUERIES = 10
MOST_PER_CLASS, MOST_SUPPORT = 100, 500


class Plan(NamedTuple):
    """Which classes a task has, how many support examples of each, and how many queries of every one."""

    classes: Tensor
    shots: Tensor
    queries: int


class MetaDatasetSource(TaskSource):
    """Episodes of varying ways and shots from those of fixed ones (Triantafillou et al., 2020, arXiv:1903.03096).

    Of classes with n_c examples:

        ways ~ U[5, min(50, C)],    q = min(10, ⌊½ · min n_c⌋),    β ~ U(0, 1]
        support size = min(500, Σ_c ⌈β · min(100, n_c − q)⌉)
        share of c ∝ n_c · exp(a_c), a_c ~ U[log ½, log 2];    shots_c = min(⌊share · (size − ways)⌋ + 1, n_c − q)
    """

    task: Task = "classification"

    def __init__(self, classes: ClassSource) -> None:
        self.classes = classes
        self.shape = classes.shape
        self.members = [m for m in classes.members if len(m) > 1]
        if len(self.members) < FEWEST_WAYS:
            raise InvalidTask(f"{FEWEST_WAYS} classes of 2 examples are needed; found {len(self.members)}")

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        """A task of its own size: `size` is not used."""
        plan = draw_plan(torch.tensor([len(m) for m in self.members]), rng)
        support, queries = [], []
        for index, shots in zip(plan.classes.tolist(), plan.shots.tolist(), strict=True):
            members = self.members[index]
            order = members[torch.randperm(len(members), generator=rng)]
            support.append(order[:shots])
            queries.append(order[shots : shots + plan.queries])
        labels = torch.arange(len(plan.classes))
        x = self.classes.read(torch.cat([*support, *queries]), rng)
        n = int(plan.shots.sum())
        learned = Support(x[:n], labels.repeat_interleave(plan.shots), len(labels))
        return Episode(learned, x[n:], labels.repeat_interleave(plan.queries))


def draw_plan(sizes: Tensor, rng: torch.Generator) -> Plan:
    """The sizes of one task from those of all classes, [C]."""
    most = min(MOST_WAYS, len(sizes))
    ways = int(torch.randint(FEWEST_WAYS, most + 1, (), generator=rng))
    classes = torch.randperm(len(sizes), generator=rng)[:ways]
    n = sizes[classes]
    queries = min(MOST_QUERIES, int(n.min()) // 2)
    left = n - queries  # [ways]
    beta = 1 - torch.rand((), generator=rng)
    total = min(MOST_SUPPORT, int((beta * left.clamp(max=MOST_PER_CLASS)).ceil().sum()))
    bend = math.log(2) * (2 * torch.rand(ways, generator=rng) - 1)
    share = n * bend.exp() / (n * bend.exp()).sum()
    shots = ((share * (total - ways)).floor().long() + 1).minimum(left)
    return Plan(classes, shots, queries)

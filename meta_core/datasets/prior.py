"""Synthetic tables: a prior over what columns may have to do with each other and with a class."""

import math
from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from meta_core.config import Config
from meta_core.dataset import Dataset, Split, datasets
from meta_core.episodes import Size, TaskSource
from meta_core.types import Episode, Support, Task

EDGES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda v: v,
    torch.tanh,
    torch.sin,
    torch.abs,
    torch.square,
    F.softplus,
)
MOST_PARENTS = 3
MOST_CLASSES = 10


class PriorConfig(Config):
    """Sizes of the tables; those of training are drawn anew for each task."""

    fewest_columns: int = Field(2, ge=1, le=500, description="beside the target")
    most_columns: int = Field(10, ge=1, le=500)
    fewest_rows: int = Field(4, ge=2, le=10_000, description="of the support, whose size is log-uniform from here …")
    most_rows: int = Field(1000, ge=2, le=10_000, description="… to here in training; else it is ways · shots")
    noise: float = Field(0.5, ge=0, le=10, description="largest deviation of the noise of a column; its own is 1")


class PriorSource(TaskSource):
    """Tables drawn from random directed acyclic graphs, in the manner of TabPFN (arXiv:2207.01848).

    Column j has at most three of the columns before it as parents, v_j = Σ_p w_p · f_p(v_p) + noise with w_p ~ N(0, 1)
    and f_p one of id, tanh, sin, abs, square and softplus, and is then standardised; one without parents is N(0, 1).
    A random column is the target, cut at its quantiles into as many classes as were drawn from 2…10 (at most `ways`,
    and no more than rows), whose names are shuffled. Rows are drawn as they come, so that classes are unbalanced in
    the support; those that it lacks are no classes of the task.
    """

    task: Task = "classification"
    shape = ()

    def __init__(self, config: PriorConfig, *, varied: bool) -> None:
        self.config = config
        self.varied = varied

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        """A table of support rows and `ways · queries` others, less those of classes that the support lacks."""
        n = self._rows(size, rng)
        most = max(2, min(MOST_CLASSES, size.ways, n))
        ways = int(torch.randint(2, most + 1, (), generator=rng))
        while True:
            x, y = self._table(n + size.ways * size.queries, ways, rng)
            seen, own = torch.unique(y[:n], return_inverse=True)  # classes are those of the support
            asked = torch.isin(y[n:], seen)
            if len(seen) > 1 and asked.any():
                return Episode(Support(x[:n], own, len(seen)), x[n:][asked], torch.searchsorted(seen, y[n:][asked]))

    def _rows(self, size: Size, rng: torch.Generator) -> int:
        """Of the support."""
        if not self.varied:
            return size.ways * size.shots
        low, high = self.config.fewest_rows, self.config.most_rows
        return min(high, int(low * math.exp(torch.rand((), generator=rng).item() * math.log((high + 1) / low))))

    def _table(self, rows: int, ways: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Standardised columns [rows, D] and classes [rows]."""
        low, high = self.config.fewest_columns, self.config.most_columns
        columns = int(torch.randint(low, high + 1, (), generator=rng)) + 1
        table = random_table(rows, columns, self.config.noise, rng)
        target = int(torch.randint(columns, (), generator=rng))
        x = torch.cat([table[:, :target], table[:, target + 1 :]], -1)
        x = x[:, torch.randperm(columns - 1, generator=rng)]
        return x, torch.randperm(ways, generator=rng)[quantile_bins(table[:, target], ways)]


def random_table(rows: int, columns: int, noise: float, rng: torch.Generator) -> Tensor:
    """Values of a random directed acyclic graph, [rows, columns], each column with mean 0 and deviation 1."""
    table = torch.randn(rows, columns, generator=rng)
    for j in range(columns):
        level = noise * torch.rand((), generator=rng)
        count = int(torch.randint(min(j, MOST_PARENTS) + 1, (), generator=rng)) if j else 0
        if count:
            table[:, j] *= level
        for parent in torch.randperm(j, generator=rng)[:count].tolist():
            edge = EDGES[int(torch.randint(len(EDGES), (), generator=rng))]
            table[:, j] += torch.randn((), generator=rng) * edge(table[:, parent])
        table[:, j] = (table[:, j] - table[:, j].mean()) / table[:, j].std(correction=0).clamp(min=1e-6)
    return table


def quantile_bins(values: Tensor, bins: int) -> Tensor:
    """Which of `bins` equally full parts each of [N] lies in, from the lowest."""
    cuts = torch.quantile(values, torch.linspace(0, 1, bins + 1)[1:-1].to(values))
    return torch.bucketize(values.contiguous(), cuts)


@datasets.register("prior")
class Prior(Dataset):
    """An endless supply of tables; those of training vary in rows, the others are as large as they are asked to be."""

    Config = PriorConfig
    config: PriorConfig
    modality = "table"

    def source(self, split: Split, *, augmented: bool = False) -> PriorSource:
        """Tables, as configured where they are trained on."""
        return PriorSource(self.config, varied="train" in split)

"""Synthetic tables: a prior over what columns may have to do with each other and with what is to be told."""

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
    """Sizes of the tables; those of training are drawn anew for each step of it."""

    task: Task = "classification"
    fewest_columns: int = Field(2, ge=1, le=500, description="beside the target")
    most_columns: int = Field(10, ge=1, le=500)
    fewest_rows: int = Field(4, ge=2, le=10_000, description="of the support, whose size is log-uniform from here …")
    most_rows: int = Field(1000, ge=2, le=10_000, description="… to here in training; else it is ways · shots")
    noise: float = Field(0.5, ge=0, le=10, description="largest deviation of the noise of a column; its own is 1")
    hidden: int = Field(0, ge=0, le=100, description="most columns that are drawn but not shown")
    mixed: bool = Field(
        False,
        description="half of the tables have classes of uneven sizes that move the columns, half classes that the "
        "columns make; some columns are cut into steps or skewed, as in tables of people",
    )


class PriorSource(TaskSource):
    """Tables drawn from random directed acyclic graphs, in the manner of TabPFN (arXiv:2207.01848).

    Column j has at most three of the columns before it as parents, v_j = Σ_p w_p · f_p(v_p) + noise with w_p ~ N(0, 1)
    and f_p one of id, tanh, sin, abs, square and softplus, and is then standardised; one without parents is N(0, 1).
    A random column is the target. A class is one of the parts between quantiles of it, as many as were drawn from
    2…10 (at most `ways`, and half as many as rows), whose names are shuffled. Every class is in the support; beyond
    that rows are drawn as they come, so that classes are unbalanced.
    """

    shape = ()

    def __init__(self, config: PriorConfig, *, varied: bool) -> None:
        self.config = config
        self.task = config.task
        self.varied = varied

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        """A table of support rows and `ways · queries` others; for a regression `shots` and `queries` count rows."""
        return self.draw_alike(size, 1, rng)[0]

    def draw_alike(self, size: Size, tasks: int, rng: torch.Generator) -> list[Episode]:
        """Tables with the same numbers of rows, columns and classes, so that they can be learned from in one pass."""
        c = self.config
        columns = int(torch.randint(c.fewest_columns, c.most_columns + 1, (), generator=rng)) + 1
        hidden = int(torch.randint(c.hidden + 1, (), generator=rng))
        if self.task == "regression":
            n = self._rows(size.shots, rng)
            return self._regressions(n, size.queries, (tasks, columns, hidden), rng)
        n = self._rows(size.ways * size.shots, rng)
        ways = int(torch.randint(2, max(2, min(MOST_CLASSES, size.ways, n // 2)) + 1, (), generator=rng))
        return self._classifications(n, size.ways * size.queries, ways, (tasks, columns, hidden), rng)

    def _rows(self, usual: int, rng: torch.Generator) -> int:
        """Of the support."""
        if not self.varied:
            return usual
        low, high = self.config.fewest_rows, self.config.most_rows
        return min(high, int(low * math.exp(torch.rand((), generator=rng).item() * math.log((high + 1) / low))))

    def _regressions(self, n: int, queries: int, shape: tuple[int, int, int], rng: torch.Generator) -> list[Episode]:
        tasks, columns, hidden = shape
        tables = random_tables((tasks, n + queries, columns + hidden), self.config.noise, rng)
        chosen = torch.rand(tasks, columns + hidden, generator=rng).argsort(-1)[:, :columns]  # [tasks, columns]
        shown = tables.gather(2, chosen[:, None].expand(-1, n + queries, -1))
        x, y = self._marginals(shown[..., 1:], rng), shown[..., :1]
        if self.config.mixed:
            y = skewed(y, rng)
        return [Episode(Support(a[:n], b[:n], None), a[n:], b[n:]) for a, b in zip(x, y, strict=True)]

    def _classifications(
        self, n: int, queries: int, ways: int, shape: tuple[int, int, int], rng: torch.Generator
    ) -> list[Episode]:
        tasks, columns, hidden = shape
        moves = self.config.mixed and bool(torch.rand((), generator=rng) < 0.5)
        labels = uneven_labels(tasks, n + queries, ways, rng) if moves else None
        tables = random_tables((tasks, n + queries, columns + hidden), self.config.noise, rng, labels)
        chosen = torch.rand(tasks, columns + hidden, generator=rng).argsort(-1)[:, :columns]
        shown = tables.gather(2, chosen[:, None].expand(-1, n + queries, -1))
        names = torch.rand(tasks, ways, generator=rng).argsort(-1)
        if labels is None:
            labels = torch.stack([quantile_bins(values, ways) for values in shown[..., 0]])
        labels = names.gather(1, labels)
        x = self._marginals(shown[..., 1:], rng)
        return [_split(a, b, n, ways, rng) for a, b in zip(x, labels, strict=True)]

    def _marginals(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Columns as tables have them: some in steps, some skewed, where they are `mixed`."""
        if not self.config.mixed or torch.rand((), generator=rng) < 0.4:
            return x
        kind = torch.rand(x.shape[0], 1, x.shape[2], generator=rng)
        levels = torch.randint(1, 4, (x.shape[0], 1, x.shape[2]), generator=rng)
        places = torch.randn(x.shape[0], 3, x.shape[2], generator=rng)
        steps = sum(((x > places[:, i : i + 1]) & (levels > i)).to(x) for i in range(3))
        assert isinstance(steps, Tensor)
        cut = torch.rand((), generator=rng)
        return torch.where(kind < cut, steps, torch.where(kind > 0.8, skewed(x, rng), x))


def skewed(x: Tensor, rng: torch.Generator) -> Tensor:
    """exp(a·x) for an a of its own in each table and column, [T, rows, D]."""
    power = torch.rand(x.shape[0], 1, x.shape[2], generator=rng) * 1.5
    return torch.where(power > 0.5, (power * x.clamp(-4, 4)).exp(), x)


def random_tables(
    shape: tuple[int, int, int], noise: float, rng: torch.Generator, labels: Tensor | None = None
) -> Tensor:
    """Values of random directed acyclic graphs, `shape` [tasks, rows, columns], each column with mean 0, deviation 1.

    Where there are `labels` [tasks, rows], about half of the columns are moved by them.
    """
    tasks, rows, columns = shape
    table = torch.randn(tasks, rows, columns, generator=rng)
    if labels is not None:
        table = table + moved(labels, columns, rng)
    for j in range(columns):
        level = noise * torch.rand(tasks, 1, generator=rng)
        counts = torch.randint(min(j, MOST_PARENTS) + 1, (tasks, 1), generator=rng)
        column = torch.where(counts > 0, level * table[:, :, j], table[:, :, j])
        if j:
            parents = torch.rand(tasks, j, generator=rng).argsort(-1)[:, :MOST_PARENTS]
            for p in range(parents.shape[1]):
                values = table.gather(2, parents[:, p, None, None].expand(-1, rows, 1)).squeeze(2)  # [tasks, rows]
                edge = torch.randint(len(EDGES), (tasks,), generator=rng)
                made = torch.stack([f(values) for f in EDGES])[edge, torch.arange(tasks)]
                column = column + (counts > p) * torch.randn(tasks, 1, generator=rng) * made
        table[:, :, j] = (column - column.mean(1, keepdim=True)) / column.std(1, correction=0, keepdim=True).clamp(1e-6)
    return table


def moved(labels: Tensor, columns: int, rng: torch.Generator) -> Tensor:
    """How far its class moves each row in each column, [tasks, rows, columns]."""
    tasks, ways = len(labels), int(labels.max()) + 1
    strength = 2 * torch.rand(tasks, 1, 1, generator=rng) * (torch.rand(tasks, 1, columns, generator=rng) < 0.5)
    centres = strength * torch.randn(tasks, ways, columns, generator=rng)
    return centres.gather(1, labels[..., None].expand(-1, -1, columns))


def uneven_labels(tasks: int, rows: int, ways: int, rng: torch.Generator) -> Tensor:
    """Labels [tasks, rows] of classes of random shares, each with at least two rows where there are enough."""
    shares = torch.randn(tasks, ways, generator=rng).mul(0.7).softmax(-1)
    labels = torch.multinomial(shares, rows, replacement=True, generator=rng)
    labels[:, : 2 * ways] = torch.arange(ways).repeat(2)[:rows]
    return labels


def quantile_bins(values: Tensor, bins: int) -> Tensor:
    """Which of `bins` equally full parts each of [N] lies in, from the lowest."""
    cuts = torch.quantile(values, torch.linspace(0, 1, bins + 1)[1:-1].to(values))
    return torch.bucketize(values.contiguous(), cuts)


def _split(x: Tensor, y: Tensor, n: int, ways: int, rng: torch.Generator) -> Episode:
    """Rows in random order but one of each class, which is in the support of `n` whatever comes."""
    order = torch.randperm(len(y), generator=rng)
    own = y[order]
    present, inverse = torch.unique(own, return_inverse=True)
    first = torch.full((len(present),), len(y)).scatter_reduce(0, inverse, torch.arange(len(y)), "amin")
    early = torch.ones(len(y), dtype=torch.bool).index_fill_(0, first, False)
    order = torch.cat([order[first], order[early]])
    own = torch.searchsorted(present, y[order])
    return Episode(Support(x[order[:n]], own[:n], len(present)), x[order[n:]], own[n:])


@datasets.register("prior")
class Prior(Dataset):
    """An endless supply of tables; those of training vary in rows, the others are as large as they are asked to be."""

    Config = PriorConfig
    config: PriorConfig
    modality = "table"

    def task(self) -> Task:
        """As configured."""
        return self.config.task

    def source(self, split: Split, *, augmented: bool = False) -> PriorSource:
        """Tables, as configured where they are trained on."""
        return PriorSource(self.config, varied="train" in split)

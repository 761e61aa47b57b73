"""Any CSV table with a target column."""

import csv
import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field

from meta_core.config import Config
from meta_core.dataset import Dataset, Split, datasets
from meta_core.episodes import Size, TaskSource, draw_members
from meta_core.errors import InvalidTask, NotFound
from meta_core.modality import Description, Modality, build_modality
from meta_core.types import Episode, Support, Task

Row = dict[str, Any]
SHARES = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "train+validation": (0.0, 0.8), "test": (0.0, 1.0)}


class TablesConfig(Config):
    """Which table, what is to be told, and what describes the columns."""

    path: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the CSV file, without .csv")
    target: str | None = Field(None, description="column to be told from the others; the last one if not given")
    task: Literal["classification", "regression"] = "classification"
    describe: Literal["support", "train"] = Field(
        "support", description="columns are described by each support set, or once by all training rows"
    )


@datasets.register("tables")
class Tables(Dataset):
    """`<datasets>/tables/<path>.csv` with a header row; an empty cell is a missing value.

    A task is a draw of rows. Training and validation take separate rows, by a hash of their content; the test part is
    the whole table, for base models that were not trained on it.
    """

    Config = TablesConfig
    config: TablesConfig
    modality = "table"

    def task(self) -> Task:
        """As configured."""
        return self.config.task

    def description(self) -> Description | None:
        """The columns of the training rows, where the table describes them once."""
        if self.config.describe == "support":
            return None
        return build_modality("table", {}).describe(self._rows("train")[0])

    def source(self, split: Split, *, augmented: bool = False) -> "RowSource":
        """Draws of the rows of one part; tables are never augmented."""
        rows, targets = self._rows(split)
        return RowSource(rows, targets, self.config.task, build_modality("table", {}), self.description())

    def targets(self) -> list[str]:
        """What there is to be told, of every row, as written."""
        return self._rows("test")[1]

    def _rows(self, split: Split) -> tuple[list[Row], list[str]]:
        low, high = SHARES[split]
        records = [
            record for record in read_csv(self.folder / f"{self.config.path}.csv") if low <= _share(record) < high
        ]
        if not records:
            raise InvalidTask(f"the {split} part of {self.config.path}.csv has no rows")
        target = self.config.target or list(records[0])[-1]
        if target not in records[0]:
            raise NotFound.among("column", target, records[0])
        known = [record for record in records if record[target]]
        rows = [{name: value_of(text) for name, text in record.items() if name != target} for record in known]
        return rows, [record[target] for record in known]


class RowSource(TaskSource):
    """Episodes of table rows, read as a support set's own description or a common one says."""

    def __init__(
        self, rows: list[Row], targets: list[str], task: Task, modality: Modality, description: Description | None
    ) -> None:
        self.task = task
        self.rows = rows
        self.modality = modality
        self.description = description
        self.shape = tuple(modality.read(rows[:1], description).shape[1:]) if description else ()
        if task == "regression":
            self.y = torch.tensor([[float(target)] for target in targets])  # [M, 1]
        else:
            self.members = _members(targets)

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        """`shots` rows of each of (at most) `ways` classes, or `shots` rows of a regression, and as drawn queries."""
        if self.task == "regression":
            return self._regression(size, rng)
        ways = min(size.ways, len(self.members))
        chosen = draw_members(self.members, Size(ways=ways, shots=size.shots, queries=size.queries), rng)
        support, queries = chosen[:, : size.shots], chosen[:, size.shots :]
        labels = torch.arange(ways)
        y = labels.repeat_interleave(size.shots), labels.repeat_interleave(size.queries)
        return self._episode(support.flatten().tolist(), queries.flatten().tolist(), *y, ways)

    def _regression(self, size: Size, rng: torch.Generator) -> Episode:
        needed = size.shots + size.queries
        if len(self.rows) < needed:
            raise InvalidTask(f"{needed} rows are needed for an episode; there are {len(self.rows)}")
        chosen = torch.randperm(len(self.rows), generator=rng)[:needed]
        support, queries = chosen[: size.shots], chosen[size.shots :]
        return self._episode(support.tolist(), queries.tolist(), self.y[support], self.y[queries], None)

    def _episode(
        self, support: list[int], queries: list[int], y: torch.Tensor, query_y: torch.Tensor, ways: int | None
    ) -> Episode:
        learned, graded = [self.rows[i] for i in support], [self.rows[i] for i in queries]
        description = self.description or self.modality.describe(learned)
        x, query_x = self.modality.read(learned, description), self.modality.read(graded, description)
        return Episode(Support(x, y, ways), query_x, query_y)


def _members(targets: Sequence[str]) -> tuple[torch.Tensor, ...]:
    rows_of: dict[str, list[int]] = defaultdict(list)
    for index, target in enumerate(targets):
        rows_of[target].append(index)
    return tuple(torch.tensor(rows_of[target]) for target in sorted(rows_of))


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a file with a header, as written. Raises `NotFound`."""
    if not path.is_file():
        raise NotFound(f"there is no {path.name} among the tables")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _share(record: dict[str, str]) -> float:
    """Where between 0 and 1 a row falls, evenly."""
    content = "\x1f".join(str(cell) for cell in record.values())
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:8]) / 2**64


def value_of(text: str) -> str | float | None:
    """A cell of a CSV file: a number if it reads as one, nothing if it is empty."""
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text

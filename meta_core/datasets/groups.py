"""Tables in groups, each of them a task: people, schools, countries, machines."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from meta_core.config import Config
from meta_core.dataset import Dataset, Split, datasets
from meta_core.datasets.tables import Row, read_csv, value_of
from meta_core.episodes import Size, TaskSource
from meta_core.errors import InvalidTask, NotFound
from meta_core.modality import Description, build_modality
from meta_core.types import Episode, Support, Task

VALIDATION_SHARE = 0.2
"""Of the groups that are not for the test."""


class GroupsConfig(Config):
    """Which table, its columns of groups and targets, and which groups are never trained on."""

    path: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the CSV file, without .csv")
    group: str = Field("group", description="column that tells the rows of one task from those of another")
    target: str | None = Field(None, description="column of numbers to be told from the others; null: the last one")
    fold: Literal[0, 1, 2] = Field(0, description="which third of the groups is for the test")
    seed: int = Field(0, ge=0, description="which groups are in which third")


@datasets.register("groups")
class Groups(Dataset):
    """`<datasets>/groups/<path>.csv` with a column of groups: regression tasks, each the rows of one group.

    The columns are described once, by the rows of the training groups; a third of the groups is for the test, and a
    fifth of the others for validation.
    """

    Config = GroupsConfig
    config: GroupsConfig
    modality = "table"

    def task(self) -> Task:
        """Regression."""
        return "regression"

    def description(self) -> Description:
        """The columns of all rows that may be trained on."""
        groups = self._groups("train+validation")
        return build_modality("table", {}).describe([row for rows, _ in groups for row in rows])

    def source(self, split: Split, *, augmented: bool = False) -> "GroupSource":
        """Groups of one part."""
        modality, description = build_modality("table", {}), self.description()
        groups = self._groups(split)
        return GroupSource([(modality.read(rows, description), torch.tensor(y)[:, None]) for rows, y in groups])

    def _groups(self, split: Split) -> list[tuple[list[Row], list[float]]]:
        """Rows and targets of each group of a part."""
        records = read_csv(self.folder / f"{self.config.path}.csv")
        target = self.config.target or list(records[0])[-1]
        for column in (self.config.group, target):
            if column not in records[0]:
                raise NotFound.among("column", column, records[0])
        groups: dict[str, tuple[list[Row], list[float]]] = {}
        for record in (record for record in records if record[target]):
            rows, targets = groups.setdefault(record[self.config.group], ([], []))
            told = (self.config.group, target)
            rows.append({name: value_of(text) for name, text in record.items() if name not in told})
            targets.append(_number(record[target], target))
        names = sorted(groups)
        chosen = [groups[names[i]] for i in self._part(len(names), split)]
        if not chosen:
            raise InvalidTask(f"the {split} part of {self.config.path}.csv has no groups; there are {len(names)}")
        return chosen

    def _part(self, count: int, split: Split) -> list[int]:
        order: list[int] = torch.randperm(count, generator=torch.Generator().manual_seed(self.config.seed)).tolist()
        unseen = order[self.config.fold :: 3]
        others = [i for i in order if i not in set(unseen)]
        first = len(others) - max(1, round(VALIDATION_SHARE * len(others)))
        train, validation = others[:first], others[first:]
        return {"train": train, "validation": validation, "train+validation": others, "test": unseen}[split]


class GroupSource(TaskSource):
    """Episodes each from the rows `x` [N, D] and targets `y` [N, 1] of one group."""

    task: Task = "regression"

    def __init__(self, groups: list[tuple[Tensor, Tensor]]) -> None:
        self.groups = groups
        self.shape = tuple(groups[0][0].shape[1:])

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        """`shots` rows of a group that has more of them, and as many of the others as `queries` asks for."""
        able = [group for group in self.groups if len(group[0]) > size.shots]
        if not able:
            most = max(len(x) for x, _ in self.groups)
            raise InvalidTask(f"{size.shots} rows and one more are needed of a group; the largest has {most}")
        x, y = able[int(torch.randint(len(able), (), generator=rng))]
        order = torch.randperm(len(x), generator=rng)[: size.shots + size.queries]
        learned, asked = order[: size.shots], order[size.shots :]
        return Episode(Support(x[learned], y[learned], None), x[asked], y[asked])


def _number(text: str, column: str) -> float:
    value = value_of(text)
    if not isinstance(value, float):
        raise InvalidTask(f"column {column} is to be told and holds numbers; found {text!r}")
    return value

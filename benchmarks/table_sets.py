"""Real tables for benchmarks: rows as the service takes them, and the same rows as scikit-learn's models take them."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.record import SHARED_DATA
from meta_core.modality import build_modality
from meta_core.types import Support, Task

Row = dict[str, Any]


@dataclass(frozen=True)
class TableSet:
    """A table: its rows, the target of each (a class index or a number), and which columns are categories."""

    name: str
    task: Task
    rows: list[Row]
    y: np.ndarray
    categorical: tuple[str, ...]

    @property
    def numeric(self) -> tuple[str, ...]:
        """The other columns."""
        return tuple(name for name in self.rows[0] if name not in self.categorical)

    def columns(self, chosen: np.ndarray) -> np.ndarray:
        """Rows as an array of objects, numeric columns first; NaN and "missing" where a cell is missing."""
        rows = [self.rows[i] for i in chosen]
        numbers = [[np.nan if row[name] is None else row[name] for name in self.numeric] for row in rows]
        texts = [[row[name] or "missing" for name in self.categorical] for row in rows]
        return np.concatenate([np.array(numbers, object), np.array(texts, object)], axis=1)


def table_sets(task: Task) -> list[TableSet]:
    """All tables of a kind."""
    folder = SHARED_DATA / f"tabular_{task}"
    with (folder / "_index.csv").open(newline="") as file:
        return [_read(folder / f"{row['name']}.csv", task, row["categorical_columns"]) for row in csv.DictReader(file)]


def for_scikit_learn(table: TableSet, model: BaseEstimator) -> Pipeline:
    """A model on standardised numbers, the mean where one is missing, and categories as one-hot."""
    numbers = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    n = len(table.numeric)
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    both = [("numbers", numbers, list(range(n))), ("texts", texts, list(range(n, n + len(table.categorical))))]
    return make_pipeline(ColumnTransformer([part for part in both if part[2]]), model)


def as_service(table: TableSet, learned: np.ndarray, asked: np.ndarray) -> tuple[Support, torch.Tensor]:
    """The support set and the queries as modality `table` reads them."""
    modality = build_modality("table", {})
    support, queries = ([table.rows[i] for i in chosen] for chosen in (learned, asked))
    description = modality.describe(support)
    y = torch.from_numpy(table.y[learned])
    ways = int(table.y.max()) + 1 if table.task == "classification" else None
    target = y if ways else y[:, None].float()
    return Support(modality.read(support, description), target, ways), modality.read(queries, description)


def folds(table: TableSet, count: int, seed: int) -> list[np.ndarray]:
    """Rows in parts of equal size, each with its share of every class."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(table.y))
    if table.task == "classification":
        order = order[np.argsort(table.y[order], kind="stable")]
    return [order[i::count] for i in range(count)]


@cache
def _read(path: Path, task: Task, categorical: str) -> TableSet:
    with path.open(newline="", encoding="utf-8") as file:
        records = list(csv.DictReader(file))
    names = tuple(categorical.split())
    rows = [{k: _cell(v, k in names) for k, v in record.items() if k != "target"} for record in records]
    targets = [record["target"] for record in records]
    if task == "regression":
        return TableSet(path.stem, task, rows, np.array(targets, np.float64), names)
    return TableSet(path.stem, task, rows, np.unique(targets, return_inverse=True)[1].astype(np.int64), names)


def _cell(text: str, categorical: bool) -> float | str | None:
    if not text:
        return None
    return text if categorical else float(text)

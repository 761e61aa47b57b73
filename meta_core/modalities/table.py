"""Table rows: objects of column → value, described by the support set itself."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from meta_core.config import Config
from meta_core.errors import InvalidExample, shown
from meta_core.limits import LARGEST_NUMBER
from meta_core.modality import Description, Modality, Shape, modalities
from meta_core.table_columns import (
    DATE_FEATURES,
    describe_dates,
    is_date,
    is_free_text,
    read_dates,
    read_texts,
)

Column = dict[str, Any]
Floats = npt.NDArray[np.float64]

LONGEST_NAME, LONGEST_TEXT = 500, 5000
"""Characters of a column's name and of a cell."""
FARTHEST = 1e4
"""Standard deviations from the mean beyond which a number is not taken any farther."""


class TableConfig(Config):
    """How texts become numbers."""

    max_categories: int = Field(500, ge=2, description="columns with more different texts are free text")
    text_features: int = Field(64, ge=1, le=4096, description="that the words of a column of free text are hashed to")


@modalities.register("table")
class TableModality(Modality):
    """Rows of numbers, texts, dates, booleans and nulls; arrays of numbers have columns "0", "1" and so on.

    A column of numbers is standardised by the support set, a missing one is the mean. A column of dates (ISO 8601) is
    the moment, standardised, and its places in the year, the week and the day. A column of sentences, most of them
    different, is hashed words. Any other column is one-hot over the values of the support set; a value unseen there is
    all zeros. Where the support set has missing values, being missing is a feature of its own.
    """

    Config = TableConfig
    config: TableConfig
    example: ClassVar[Any] = {"sepal length": 5.1, "colour": "purple", "in bloom": True, "height": None}

    def describe(self, inputs: Sequence[Any]) -> Description:
        """Columns of the support set: kind, mean and deviation or categories."""
        rows = [_row(index, value) for index, value in enumerate(inputs)]
        names = list(rows[0])
        most = self.limits.max_columns
        if not 0 < len(names) <= most:
            raise InvalidExample(0, f"a row has 1–{most} columns (setting max_columns); found {len(names)}")
        _check_columns(rows, names)
        columns = [_describe_column(name, [row[name] for row in rows], self.config) for name in names]
        self.limits.check("features of a table row", sum(map(_width, columns)), "max_features")
        return {"columns": columns}

    def read(self, inputs: Sequence[Any], description: Description) -> Tensor:
        """Rows as [N, features]."""
        rows = [_row(index, value) for index, value in enumerate(inputs)]
        columns: list[Column] = description["columns"]
        _check_columns(rows, [column["name"] for column in columns])
        features = [_read_column(column, [row[column["name"]] for row in rows]) for column in columns]
        return torch.from_numpy(np.concatenate(features, axis=1).astype(np.float32))

    def shape_like(self, usual: Shape) -> None:
        """Unknown: what columns are read as depends on the rows that describe them."""

    def joined(self, one: Shape, other: Shape) -> Shape:
        """The first: all are described together."""
        return one


def _row(index: int, value: Any) -> Mapping[str, Any]:
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = {str(column): number for column, number in enumerate(value.tolist())}
    if not isinstance(value, dict):
        raise InvalidExample(index, f"a table row is an object of column → value; found {shown(value)}")
    for name, cell in value.items():
        _check_cell(index, name, cell)
    return value


def _check_cell(index: int, name: str, cell: Any) -> None:
    column = f"column {shown(name)}"
    if len(name) > LONGEST_NAME:
        raise InvalidExample(index, f"{column}: names have at most {LONGEST_NAME} characters")
    if isinstance(cell, str) and len(cell) > LONGEST_TEXT:
        raise InvalidExample(index, f"{column}: texts have at most {LONGEST_TEXT} characters; found {len(cell)}")
    if not isinstance(cell, str | bool | int | float | None):
        raise InvalidExample(index, f"{column} holds {shown(cell)}; a cell is a number, string, boolean or null")
    if isinstance(cell, int | float) and not abs(cell) < LARGEST_NUMBER:
        raise InvalidExample(index, f"{column} holds {shown(cell)}; numbers are finite and below {LARGEST_NUMBER:g}")


def _check_columns(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    expected = set(names)
    for index, row in enumerate(rows):
        if row.keys() != expected:
            missing, unknown = sorted(expected - row.keys()), sorted(row.keys() - expected)
            problem = f"lacks column {shown(missing[0])} (send null where a value is missing)" if missing else ""
            problem = problem or f"has column {shown(unknown[0])}, which the other rows do not have"
            raise InvalidExample(index, f"the row {problem}")


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _text(cell: Any) -> str:
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def _describe_column(name: str, cells: list[Any], config: TableConfig) -> Column:
    present = [cell for cell in cells if cell is not None]
    missing = len(present) < len(cells)
    if all(_is_number(cell) for cell in present):
        values = np.asarray(present or [0.0], np.float64)
        deviation = values.std()
        return {
            "name": name,
            "kind": "number",
            "mean": float(values.mean()),
            "std": float(deviation) if deviation > 1e-12 * np.abs(values).max() else 1.0,
            "missing": missing,
        }
    if all(is_date(cell) for cell in present):
        return {"name": name, **describe_dates(present), "missing": missing}
    texts = [_text(cell) for cell in present]
    categories = sorted(set(texts))
    if len(categories) > config.max_categories or is_free_text(texts):
        return {"name": name, "kind": "text", "features": config.text_features, "missing": missing}
    return {"name": name, "kind": "category", "categories": categories, "missing": missing}


def _width(column: Column) -> int:
    widths = {"number": 1, "date": DATE_FEATURES, "text": column.get("features", 0)}
    values = widths.get(column["kind"]) or len(column["categories"])
    return values + bool(column["missing"])


def _read_column(column: Column, cells: list[Any]) -> Floats:
    features = _values(column, cells)
    if not column["missing"]:
        return features
    missing = np.asarray([[float(cell is None)] for cell in cells])
    return np.concatenate([features, missing], axis=1)


def _values(column: Column, cells: list[Any]) -> Floats:
    match column["kind"]:
        case "number":
            return _standardised(column, cells)
        case "date":
            return read_dates(column["name"], cells, column["mean"], column["std"])
        case "text":
            return read_texts([None if cell is None else _text(cell) for cell in cells], column["features"])
        case _:
            return _one_hot(column, cells)


def _standardised(column: Column, cells: list[Any]) -> Floats:
    for index, cell in enumerate(cells):
        if cell is not None and not _is_number(cell):
            raise InvalidExample(index, f"column {shown(column['name'])} holds numbers; found {shown(cell)}")
    values = np.asarray([[math.nan if cell is None else float(cell)] for cell in cells])
    # a missing number is the mean; so far out that one number would drown all others, nothing was learned
    standardised: Floats = np.nan_to_num((values - column["mean"]) / column["std"], nan=0.0).clip(-FARTHEST, FARTHEST)
    return standardised


def _one_hot(column: Column, cells: list[Any]) -> Floats:
    place = {category: index for index, category in enumerate(column["categories"])}
    features = np.zeros((len(cells), len(place)))
    known = [(row, place[_text(cell)]) for row, cell in enumerate(cells) if cell is not None and _text(cell) in place]
    if known:
        features[tuple(zip(*known, strict=True))] = 1
    return features

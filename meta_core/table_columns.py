"""Columns of a table that are neither numbers nor categories: dates, and texts that people wrote."""

import datetime
import math
import re
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from meta_core.errors import InvalidExample, shown

Floats = npt.NDArray[np.float64]

DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII)
YEAR, WEEK = 365.2425, 7.0
DATE_FEATURES = 7
"""The moment itself, and sine and cosine of its place in the year, in the week and in the day."""
WORD = re.compile(r"\w+")
WORDY = 3.0
"""Words of a text, in the mean, from which on a column whose texts are mostly different is free text."""


def is_date(cell: Any) -> bool:
    """Whether it is a text that names a day, or a moment of one, as ISO 8601 writes it."""
    return isinstance(cell, str) and DATE.fullmatch(cell) is not None and _days(cell) is not None


def describe_dates(cells: Sequence[str]) -> dict[str, Any]:
    """Mean and deviation of the moments, in days."""
    days = np.array([_days(cell) for cell in cells], np.float64)
    deviation = float(days.std())
    return {"kind": "date", "mean": float(days.mean()), "std": deviation if deviation > 1e-6 else 1.0}


def read_dates(name: str, cells: Sequence[Any], mean: float, std: float) -> Floats:
    """[N, 7]; zeros where nothing is given. Raises `InvalidExample` for what is no date."""
    features = np.zeros((len(cells), DATE_FEATURES))
    for index, cell in enumerate(cells):
        if cell is None:
            continue
        if not is_date(cell):
            wanted = "holds dates such as 2024-02-29 or 2024-02-29T13:45:00Z"
            raise InvalidExample(index, f"column {shown(name)} {wanted}; found {shown(cell)}")
        days = _days(cell)
        assert days is not None
        turns = (2 * math.pi * days / period for period in (YEAR, WEEK, 1.0))
        features[index] = [(days - mean) / std, *(f(turn) for turn in turns for f in (math.sin, math.cos))]
    return features


def is_free_text(cells: Sequence[str]) -> bool:
    """Whether most of them are different, and sentences rather than names."""
    words = sum(len(WORD.findall(cell)) for cell in cells)
    return len(set(cells)) > max(2, len(cells) / 2) and words >= WORDY * len(cells)


def read_texts(cells: Sequence[str | None], width: int) -> Floats:
    """Hashed words, [N, width], each row of length 1 (Weinberger et al., 2009, arXiv:0902.2206)."""
    features = np.zeros((len(cells), width))
    for row, cell in zip(features, cells, strict=True):
        for word in WORD.findall((cell or "").lower()):
            code = zlib.crc32(word.encode())
            row[code % width] += 1 if code >> 31 else -1
    unit: Floats = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    return unit


def _days(text: str) -> float | None:
    """Since 1970 began, UTC where no zone is named; None for a day that no calendar has."""
    try:
        moment = datetime.datetime.fromisoformat(text)
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        return zoned.timestamp() / 86400
    except (ValueError, OverflowError):
        return None

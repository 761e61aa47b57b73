"""Tables: columns described by the support set alone."""

from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from meta_core.errors import InvalidExample
from meta_core.limits import Limits
from meta_core.modality import build_modality

ROWS: list[dict[str, Any]] = [
    {"size": 1, "colour": "red", "new": True},
    {"size": 3, "colour": "blue", "new": None},
    {"size": None, "colour": "red", "new": False},
]


def features(support: list[dict[str, Any]], queries: list[dict[str, Any]]) -> list[list[float]]:
    table = build_modality("table", {})
    return table.read(queries, table.describe(support)).tolist()


def test_columns_are_standardised_and_one_hot() -> None:
    # size, size missing, blue, red, false, true, new missing
    assert features(ROWS, ROWS) == [
        [-1, 0, 0, 1, 0, 1, 0],
        [1, 0, 1, 0, 0, 0, 1],
        [0, 1, 0, 1, 1, 0, 0],
    ]


def test_queries_are_read_by_the_support_set() -> None:
    assert features(ROWS, [{"new": True, "colour": "green", "size": 5}]) == [[3, 0, 0, 0, 0, 1, 0]]


def test_standardised_numbers_agree_with_scikit_learn() -> None:
    x = np.random.default_rng(0).normal(3, 5, size=(20, 4))
    rows = [dict(zip("abcd", row, strict=True)) for row in x.tolist()]
    np.testing.assert_allclose(features(rows, rows), StandardScaler().fit_transform(x), atol=1e-6)


def test_a_constant_column_says_nothing() -> None:
    rows = [{"a": 0.1, "b": i} for i in range(3)]
    assert [row[0] for row in features(rows, rows)] == pytest.approx([0, 0, 0], abs=1e-12)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"size": 1, "colour": "red"}, "lacks column 'new'"),
        ({**ROWS[0], "weight": 1}, "has column 'weight'"),
        ({**ROWS[0], "size": [1]}, "column 'size'"),
        ({**ROWS[0], "size": float("nan")}, "finite"),
        ({}, "lacks column"),
        ({**ROWS[0], "size": "tall"}, "'size' holds numbers"),
        ({**ROWS[0], "colour": "x" * 501}, "500 characters"),
    ],
)
def test_a_row_with_other_columns_says_which(row: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidExample, match=words) as caught:
        features(ROWS, [ROWS[0], row])
    assert caught.value.index == 1


def test_a_number_far_out_is_taken_no_farther() -> None:
    assert features(ROWS, [{**ROWS[0], "size": 1e14}])[0][0] == 1e4


def test_too_many_columns_and_categories_are_refused() -> None:
    with pytest.raises(InvalidExample, match="max_columns"):
        build_modality("table", {}, Limits(max_columns=2)).describe(ROWS)
    with pytest.raises(InvalidExample, match="max_categories"):
        build_modality("table", {"max_categories": 2}).describe([{"a": letter} for letter in "abc"])

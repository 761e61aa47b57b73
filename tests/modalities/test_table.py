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
        ({**ROWS[0], "colour": "x" * 5001}, "5000 characters"),
        ({**ROWS[0], "x" * 501: 1}, "500 characters"),
    ],
)
def test_a_row_with_other_columns_says_which(row: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidExample, match=words) as caught:
        features(ROWS, [ROWS[0], row])
    assert caught.value.index == 1


def test_a_number_far_out_is_taken_no_farther() -> None:
    assert features(ROWS, [{**ROWS[0], "size": 1e14}])[0][0] == 1e4


def test_too_many_columns_are_refused() -> None:
    with pytest.raises(InvalidExample, match="max_columns"):
        build_modality("table", {}, Limits(max_columns=2)).describe(ROWS)


def test_a_date_is_its_moment_and_its_place_in_year_week_and_day() -> None:
    rows = [{"seen": "2024-01-01"}, {"seen": "2024-01-03T12:00:00Z"}, {"seen": None}]
    first, second, missing = np.array(features(rows, rows))
    np.testing.assert_allclose([first[0], second[0]], [-1, 1], atol=1e-6)
    np.testing.assert_allclose(second[5:7], [0, -1], atol=1e-5)  # noon
    np.testing.assert_array_equal(missing, [0, 0, 0, 0, 0, 0, 0, 1])
    a_week_later = np.array(features(rows, [{"seen": "2024-01-10 12:00"}]))[0]
    np.testing.assert_allclose(a_week_later[3:7], second[3:7], atol=1e-4)


@pytest.mark.parametrize("cell", ["soon", "2023-02-29", 5, "2024-01-01T25:00"])
def test_what_is_no_date_in_a_column_of_dates_is_named(cell: object) -> None:
    with pytest.raises(InvalidExample, match="'seen' holds dates"):
        features([{"seen": "2024-01-01"}, {"seen": "2024-02-01"}], [{"seen": cell}])


def test_a_column_with_other_texts_among_dates_is_one_of_categories() -> None:
    rows = [{"seen": "2024-01-01"}, {"seen": "soon"}]
    assert features(rows, rows) == [[1, 0], [0, 1]]


def test_sentences_are_hashed_words_whatever_their_order_and_those_unseen_too() -> None:
    rows = [{"note": "the engine is very loud"}, {"note": "brakes are worn out"}, {"note": "A door does not close"}]
    x = np.array(features(rows, [*rows, {"note": "The engine: loud, is very"}, {"note": "new brakes are fine"}]))
    assert x.shape == (5, 64)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(x[3], x[0])
    assert x[4] @ x[1] > x[4] @ x[0]


def test_more_names_than_may_be_categories_are_hashed() -> None:
    table = build_modality("table", {"max_categories": 2, "text_features": 16})
    rows = [{"a": letter} for letter in "abc"]
    assert table.read(rows, table.describe(rows)).shape == (3, 16)
    assert table.describe(rows[:2])["columns"][0]["kind"] == "category"

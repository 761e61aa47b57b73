"""Labels: classes or targets, and what is wrong with those that are neither."""

import math
from typing import Any

import pytest

from meta_core.errors import InvalidExample, InvalidTask
from meta_core.labels import read_labels


@pytest.mark.parametrize(
    ("values", "classes", "indices"),
    [
        (["b", "a", "b"], ("a", "b"), [1, 0, 1]),
        ([10, 2, 10], (2, 10), [1, 0, 1]),
        ([True, False], (False, True), [1, 0]),
    ],
)
def test_strings_integers_and_booleans_are_classes(
    values: list[Any], classes: tuple[Any, ...], indices: list[int]
) -> None:
    labels = read_labels(values)
    assert labels.task == "classification"
    assert labels.classes == classes
    assert labels.y.tolist() == indices


def test_floats_and_lists_are_targets() -> None:
    assert read_labels([1.5, 2, 3]).y.tolist() == [[1.5], [2.0], [3.0]]
    assert read_labels([[1, 2.5], [3, 4]]).y.tolist() == [[1.0, 2.5], [3.0, 4.0]]


def test_integers_are_targets_when_the_task_says_so() -> None:
    assert read_labels([1, 2, 3], "regression").y.tolist() == [[1.0], [2.0], [3.0]]


def test_shots_are_counted_under_the_name_a_class_has_in_json() -> None:
    assert read_labels([True, False, True]).shots() == {"false": 1, "true": 2}


@pytest.mark.parametrize(
    ("values", "index", "words"),
    [
        (["a", 1], 1, "str and int"),
        (["a", None], 1, "None"),
        (["a", "b" * 201], 1, "200"),
        (["a", ""], 1, "characters"),
        ([1.0, math.nan], 1, "finite"),
        ([1.0, math.inf], 1, "finite"),
        ([1.0, True], 1, "True"),
        ([[1.0, 2.0], [1.0]], 1, "2 targets, this one 1"),
        ([[1.0], []], 1, "found \\[\\]"),
        ([1.0, 10**400], 1, "64 bits"),
        ([1, 10**30], 1, "64 bits"),
        ([1.0, 1e15], 1, "1e\\+15"),
    ],
)
def test_the_first_wrong_label_is_named(values: list[Any], index: int, words: str) -> None:
    with pytest.raises(InvalidExample, match=words) as caught:
        read_labels(values)
    assert caught.value.index == index
    assert caught.value.field == "labels"


@pytest.mark.parametrize("values", [["a", "a"], ["a"], [], [1.5]])
def test_one_class_or_one_point_is_no_task(values: list[Any]) -> None:
    with pytest.raises(InvalidTask, match="at least two"):
        read_labels(values)

"""Large JSON of numbers is read as the ordinary way reads it, or left to that."""

import json
from typing import Any

import numpy as np
import pytest

from app.dense_json import read_dense


@pytest.mark.parametrize("inputs", [[[1, 2], [3, 4]], [[[0.5, 1], [2, 3e-9]]] * 3, [[-(2**53) - 1]]])
def test_nested_numbers_become_an_array_and_the_rest_stays(inputs: Any) -> None:
    rest = {"base": "x", "support": {"inputs": [], "labels": [1, "b", 0.5, None]}, "params": {"a": [1]}, "name": None}
    sent = {**rest, "support": {"labels": rest["support"]["labels"], "inputs": inputs}}  # type: ignore[index]
    read = read_dense(json.dumps(sent).encode(), ("support", "inputs"))
    assert read is not None
    assert read[0] == rest
    assert np.issubdtype(read[1].dtype, np.integer) == np.issubdtype(np.asarray(inputs).dtype, np.integer)
    assert np.array_equal(read[1], np.asarray(inputs))


@pytest.mark.parametrize(
    "inputs",
    [
        "[[1, 2], [3]]",
        "[[1, 2, 3], [4]]",
        "[[[1], [2]], [[3, 4], []]]",
        "[[1], 2]",
        "[[1, true]]",
        "[[1, null]]",
        '[["a"]]',
        '[{"a": 1}]',
        "[1, 2]",
        "[]",
        "[[]]",
        "[[NaN]]",
        "[[1e999]]",
        "[[123456789012345678901234567890]]",
        "[[1]",
        '"text"',
        '{"npy": "x"}',
        '[[1]], "inputs": [[2]]',
    ],
)
def test_anything_else_is_left_to_the_ordinary_way(inputs: str) -> None:
    assert read_dense(f'{{"model": "x", "inputs": {inputs}}}'.encode(), ("inputs",)) is None


def test_a_body_without_inputs_is_left_to_the_ordinary_way() -> None:
    assert read_dense(b"[1, 2]", ("inputs",)) is None
    assert read_dense(b"{}", ("inputs",)) is None
    assert read_dense(b"3", ("support", "inputs")) is None

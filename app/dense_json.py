"""Large JSON bodies of numbers, read without making a Python object of each of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import simdjson

MOST_AXES = 4
"""Of nested lists that are read this way: examples of at most [H][W][channels]."""
Numbers = npt.NDArray[Any]


def read_dense(body: bytes, path: Sequence[str]) -> tuple[dict[str, Any], Numbers] | None:
    """The body without its inputs, which lie at `path`, and these as an array; the inputs left behind are empty.

    None when they are not nested lists of numbers, all of one shape, or when anything else is not as expected: then
    the ordinary way reads the body and says what is wrong with it. One million numbers hold up the process's other
    threads for a few hundredths of a second, an eighth of what it takes to make Python numbers of them.
    """
    try:
        document = simdjson.Parser().parse(body)
        inputs = _at(document, path)
        shape = _shape(inputs)
        numbers = _numbers(inputs)
        rest = _without(document, path)
    except (ValueError, TypeError, RuntimeError, KeyError, AttributeError):
        return None
    if rest is None or shape is None or len(shape) < 2:
        return None
    return rest, numbers.reshape(shape)


def _numbers(inputs: Any) -> Numbers:
    """All of them in one row: integers where every one is, as NumPy has it of lists, but pixels in a byte each."""
    try:
        integers = np.frombuffer(inputs.as_buffer(of_type="i"), np.int64)
    except TypeError:
        return np.frombuffer(inputs.as_buffer(of_type="d"), np.float64)
    fits = integers.size and integers.min() >= 0 and integers.max() <= np.iinfo(np.uint8).max
    return integers.astype(np.uint8) if fits else integers  # they are kept as they are


def _at(document: Any, path: Sequence[str]) -> Any:
    for name in path:
        document = document[name]
    return document


def _without(value: Any, path: Sequence[str]) -> dict[str, Any] | None:
    """The object with an empty list at `path`; None when a name stands in it twice."""
    names = list(value.keys())
    if len(names) != len(set(names)):
        return None
    rest: dict[str, Any] = {}
    for name in names:
        if name != path[0]:
            inner = value[name]
            rest[name] = inner.as_list() if isinstance(inner, simdjson.Array) else _plain(inner)
        else:
            rest[name] = _without(value[name], path[1:]) if len(path) > 1 else []
    return rest


def _plain(value: Any) -> Any:
    return value.as_dict() if isinstance(value, simdjson.Object) else value


def _shape(value: Any, axes: int = 0) -> tuple[int, ...] | None:
    """Lengths of nested lists that are alike at each depth, or None."""
    if not isinstance(value, simdjson.Array):
        return ()
    if not len(value) or axes == MOST_AXES:
        return None
    first = _shape(value[0], axes + 1)
    if first is None:
        return None
    if first and any(_shape(item, axes + 1) != first for item in value):
        return None
    return (len(value), *first)

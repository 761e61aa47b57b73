"""Series of any length, with gaps, from lists and files."""

import base64
import io
import math
from typing import Any

import numpy as np
import pytest
import torch

from meta_core.errors import InvalidExample, LimitExceeded
from meta_core.limits import Limits
from meta_core.modality import Modality, build_modality


def reader(limits: Limits | None = None, **config: Any) -> Modality:
    return build_modality("series", {"standardise": False, **config}, limits)


def read(inputs: list[Any], **config: Any) -> list[Any]:
    series = reader(**config)
    return series.read(inputs, series.describe(inputs)).tolist()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_lists_arrays_and_files_are_the_same_series() -> None:
    values: list[list[float]] = [[1, 2, 4, 3], [0, 0, 1, 1]]
    array = np.asarray(values)
    text = "a,b\n" + "\n".join(f"{a},{b}" for a, b in array.T)
    files = [npy(array), base64.b64encode(npy(array)).decode(), text.encode(), text.partition("\n")[2].encode()]
    assert read([values, array, *files]) == [values] * 6


def test_one_channel_needs_no_second_list() -> None:
    assert read([[1, 2, 3, 4], [[1, 2, 3, 4]]]) == [[[1, 2, 3, 4]]] * 2


def test_gaps_are_filled_by_straight_lines_and_the_ends_are_dropped() -> None:
    assert read([[None, 0, None, None, 3, math.nan], [0, 1, 2, 3]], length=4) == [[[0, 1, 2, 3]]] * 2
    assert read([[[None, 2, None, 4], [1, 1, 1, 1]]]) == [[[2, 2, 3, 4], [1, 1, 1, 1]]]


def test_series_are_resampled_to_the_longest_of_the_support() -> None:
    assert read([[0, 1, 2, 3, 4], [0, 4], [0, 8, 16]]) == [[[0, 1, 2, 3, 4]], [[0, 1, 2, 3, 4]], [[0, 4, 8, 12, 16]]]
    series = reader(most_steps=16)
    assert series.describe([list(range(100))]) == {"channels": 1, "length": 16, "fit": "resample"}
    assert series.read([[0, 30]], series.describe([list(range(100))])).tolist() == [[list(range(0, 31, 2))]]


def test_channels_are_standardised_by_all_values_of_the_support() -> None:
    support = [[[1.0, 2, 3, 4], [7, 7, 7, 7]], [[5.0, None, 6, 7], [None, None, None, None]]]
    series = build_modality("series", {})
    known = np.asarray([1, 2, 3, 4, 5, 6, 7])
    x = series.read(support, series.describe(support))
    np.testing.assert_allclose(x[0, 0], (np.arange(1, 5) - known.mean()) / known.std(), atol=1e-6)
    assert x[:, 1].abs().max() == 0  # a constant, and nothing known at all


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "shape"),
        ([None, None], "missing"),
        ([1, "2"], "list of numbers"),
        ([1, True], "list of numbers"),
        ([[1, 2], [1]], "as many steps"),
        ([[1, 2, 3], [4, 5, 6]], "found 2 channels, where the support set has 1"),
        ([1e300], "finite"),
        ([math.inf, 1], "finite"),
        (np.zeros((2, 2, 2)), "shape"),
        (b"\x93NUMPY garbage", "npy"),
        (b"\xff\xfe", "neither"),
        (b"", "neither"),
        (b"1,2\n3", "row 2"),
        (b"1\nx", "'x', which is no number"),
        ("no base64!", "base64"),
        (5, "list of numbers"),
    ],
)
def test_what_is_no_series_says_why(value: Any, words: str) -> None:
    series = reader()
    with pytest.raises(InvalidExample, match=words) as caught:
        series.read([[1, 2, 3], value], series.describe([[1, 2, 3]]))
    assert caught.value.index == 1


def test_too_long_too_many_channels_and_too_much_in_all_are_refused() -> None:
    with pytest.raises(InvalidExample, match="max_steps"):
        reader(Limits(max_steps=5)).describe([[0] * 6])
    with pytest.raises(InvalidExample, match="max_channels"):
        reader(Limits(max_channels=1)).describe([[[1, 2], [3, 4]]])
    series = reader(Limits(max_total_samples=10), length=4)
    with pytest.raises(LimitExceeded, match="max_total_samples"):
        series.read([[1, 2]] * 3, series.describe([[1, 2]]))


def test_numbers_far_beyond_the_support_stay_finite() -> None:
    series = build_modality("series", {})
    x = series.read([[1e14, -1e14, 0]], series.describe([[0, 1e-9, 0, 0]]))
    assert x.isfinite().all()
    assert torch.equal(x.abs().amax(), torch.tensor(1e6))

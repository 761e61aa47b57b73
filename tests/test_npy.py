"""Arrays in .npy files: strict, and never a pickle."""

import io
import pickle
from typing import Any

import numpy as np
import pytest

from meta_core.errors import InvalidRequest
from meta_core.npy import read_npy


def npy(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", ["u1", "<f4", ">f8", "<i8", "?", "<f2"])
def test_an_array_comes_back_as_numpy_wrote_it(dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    np.testing.assert_array_equal(read_npy(npy(array)), array)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        npy(np.array([{"a": 1}]), allow_pickle=True),
        pickle.dumps([1, 2]),
        npy(np.array(["text"])),
        npy(np.zeros(3, complex)),
        npy(np.asfortranarray(np.zeros((2, 3)))),
        npy(np.float32(1)),
        npy(np.zeros((2, 3)))[:-1],
        npy(np.zeros((2, 3))) + b"\0",
        npy(np.zeros((2, 3))).replace(b"(2, 3)", b"(9, 3)"),
        npy(np.zeros((2, 3))).replace(b"(2, 3)", b"(-2,3)"),
        npy(np.zeros((2, 3))).replace(b"<f8", b"|O8"),
        npy(np.zeros((2, 2))).replace(b"(2, 2)", b"(-2,-2)"[:6]),
        npy(np.zeros((4, 1))).replace(b"(4, 1), }", b"(-2,-2), }"[:9]),
        npy(np.zeros((1,) * 9)),
        npy(np.zeros((2, 0))).replace(b"(2, 0), }   ", b"(9999999999,0)"[:12]),
    ],
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_npy(content)

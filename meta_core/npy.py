"""Dense arrays in NumPy's .npy format, parsed strictly: no pickle, no surprise in the header."""

import functools
import io
import math
import tokenize
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from meta_core.errors import InvalidRequest

LONGEST_HEADER = 4096
MOST_AXES = 8
NUMBERS = "biuf"
"""NumPy's letters for booleans, integers and floats."""
TEXTS = "U"
Array = npt.NDArray[Any]


def read_npy(content: bytes, kinds: str = NUMBERS) -> Array:
    """The array in a .npy file of booleans, integers or floats (or of other `kinds`), C order.

    Raises `InvalidRequest` for anything else, and for files that do not hold exactly what their header says.
    """
    start = 10 + int.from_bytes(content[8:10], "little")  # of the array, in version 1
    shape, dtype, start = _parsed(content[: start if content[6:7] == b"\x01" else 12 + LONGEST_HEADER], kinds)
    expected, found = math.prod(shape) * dtype.itemsize, len(content) - start
    if expected != found:
        raise InvalidRequest(f"the .npy header says shape {shape} of {dtype}, {expected} bytes; found {found}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


@functools.lru_cache(maxsize=256)
def _parsed(head: bytes, kinds: str) -> tuple[tuple[int, ...], "np.dtype[Any]", int]:
    """What a header says, and how long it is; parsing takes longer than all else, and clients repeat themselves."""
    stream = io.BytesIO(head)
    return *read_npy_header(stream, kinds), stream.tell()


def read_npy_header(stream: IO[bytes], kinds: str = NUMBERS) -> tuple[tuple[int, ...], "np.dtype[Any]"]:
    """Shape and type of the array that follows in a stream. Raises `InvalidRequest`."""
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran_order, dtype = read_header(stream, max_header_size=LONGEST_HEADER)
    except (ValueError, KeyError, SyntaxError, TypeError, tokenize.TokenError) as error:
        raise InvalidRequest(f"not a .npy file of version 1 or 2: {error}") from None
    if dtype.kind not in kinds or dtype.hasobject:
        raise InvalidRequest(
            f"a .npy array of {'booleans, integers or floats' if kinds == NUMBERS else 'numbers or texts'} is needed; "
            f"found {dtype}" + (", which only unpickling could read" if dtype.hasobject else "")
        )
    if fortran_order:
        raise InvalidRequest("a .npy array must be in C order; found Fortran order")
    if not 0 < len(shape) <= MOST_AXES or min(shape) < 0 or max(shape) >= 2**31:
        raise InvalidRequest(f"the .npy header says shape {shape}; at most {MOST_AXES} axes below 2³¹ are taken")
    return shape, dtype

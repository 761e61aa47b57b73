"""NumPy's .npz: an array `x` of inputs and an array `y` of labels."""

import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from meta_core.archive import DAMAGED, Archive
from meta_core.errors import InvalidDataset, InvalidRequest
from meta_core.format import Example, Format, Reading, formats, whole
from meta_core.formats.folders import is_npz
from meta_core.limits import Limits
from meta_core.npy import NUMBERS, TEXTS, read_npy, read_npy_header

LARGEST_EXAMPLE = 100_000_000
"""Bytes."""


@formats.register("npz")
class Npz(Format):
    """`x` [N, …] and `y` [N] texts, integers, booleans or floats.

    [N, D] are vectors, [N, H, W] and [N, H, W, 3] images. As series, where that is asked for, they are [N, steps] or
    [N, channels, steps], NaN where a value is missing and behind the end of shorter ones.
    """

    def __init__(self, path: Path, reading: Reading, limits: Limits) -> None:
        super().__init__(path, reading, limits)
        self.archive = Archive(path, limits)
        names = {member.filename: member for member in self.archive.members}
        if names.keys() != {"x.npy", "y.npy"}:
            raise InvalidDataset(
                [("the archive", f"an npz has the arrays x and y; found {', '.join(names) or 'none'}")]
            )
        try:
            self.y = read_npy(self.archive.read(names["y.npy"]), NUMBERS + TEXTS)
        except (InvalidRequest, *DAMAGED) as error:
            raise InvalidDataset([("y.npy", str(error))]) from None
        self.shape, self.dtype = self._header()

    @classmethod
    def fits(cls, path: Path, head: bytes) -> bool:
        """A zip whose first member is an array."""
        return head.startswith(b"PK\x03\x04") and is_npz(path)

    def modality(self) -> str:
        """By the number of axes."""
        if self.reading.modality:
            return self.reading.modality
        is_image = len(self.shape) == 3 or (len(self.shape) == 4 and self.shape[3] in (1, 3))
        return "image" if is_image else "vector"

    def _header(self) -> tuple[tuple[int, ...], "np.dtype[Any]"]:
        with self.archive.open("x.npy") as file:
            try:
                shape, dtype = read_npy_header(file)
            except (InvalidRequest, *DAMAGED, tokenize.TokenError) as error:
                raise InvalidDataset([("x.npy", str(error))]) from None
        if len(shape) < 1 or self.y.ndim not in (1, 2) or shape[0] != len(self.y):
            raise InvalidDataset(
                [("y.npy", f"x is of shape {list(shape)} and y of {list(self.y.shape)}: one label each")]
            )
        return shape, dtype

    def __iter__(self) -> Iterator[Example]:
        """One input after the other, read as a stream."""
        size = int(np.prod(self.shape[1:], dtype=object)) * self.dtype.itemsize
        if not 0 < size <= LARGEST_EXAMPLE:
            raise InvalidDataset([("x.npy", f"one input takes {size} bytes; at most {LARGEST_EXAMPLE} are taken")])
        with self.archive.open("x.npy") as file:
            read_npy_header(file)
            for index, label in enumerate(self.y.tolist()):
                try:
                    value = np.frombuffer(whole(file, size), self.dtype).reshape(self.shape[1:])
                except DAMAGED as error:
                    raise InvalidDataset([(f"x[{index}]", f"cannot be unpacked: {error}")]) from None
                yield Example(f"x[{index}]", value if value.ndim else value.item(), _checked(index, label))


def _checked(index: int, label: Any) -> Any:
    """The label, if it can be written: NumPy keeps code points that no text has."""
    try:
        str(label).encode()
    except UnicodeEncodeError as error:
        raise InvalidDataset([(f"y[{index}]", f"is no text: {error.reason}")]) from None
    return label

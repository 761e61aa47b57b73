"""The contract of a file format: labelled examples out of one file that somebody sent."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

from meta_core.errors import InvalidDataset
from meta_core.limits import Limits
from meta_core.registry import Registry


@dataclass(frozen=True)
class Example:
    """One labelled input and its place in the file, such as a member's name or a line."""

    place: str
    input: Any
    label: Any


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a file is to be read, where its content leaves it open."""

    modality: str | None = None
    target: str | None = None


class Format(ABC):
    """Reads a file example by example, never as a whole. Raises `InvalidDataset`, which names the place."""

    name: ClassVar[str]

    def __init__(self, path: Path, reading: Reading, limits: Limits) -> None:
        self.path = path
        self.reading = reading
        self.limits = limits

    @classmethod
    @abstractmethod
    def fits(cls, path: Path, head: bytes) -> bool:
        """Whether a file that begins like this is of this format."""

    @abstractmethod
    def modality(self) -> str:
        """The modality of its inputs, by their looks or as asked for."""

    @abstractmethod
    def __iter__(self) -> Iterator[Example]: ...


formats: Registry[type[Format]] = Registry("format", "meta_core.formats")


def open_format(path: Path, name: str | None, reading: Reading, limits: Limits) -> Format:
    """The reader of a file, of the format that is named or else recognised. Raises `InvalidDataset` or `NotFound`."""
    if name is not None:
        return formats[name](path, reading, limits)
    with path.open("rb") as file:
        head = file.read(4096)
    for known in formats:
        if formats[known].fits(path, head):
            return formats[known](path, reading, limits)
    raise InvalidDataset([("the file", f"not recognised; the formats are {', '.join(formats)}")])


def row_example(place: str, values: dict[str, Any], label: Any, reading: Reading) -> Example:
    """A row of a table; its cells as the steps of a series; where another modality is asked for, its one cell."""
    if reading.modality in (None, "table"):
        return Example(place, values, label)
    if reading.modality == "series":
        return Example(place, list(values.values()), label)
    if len(values) != 1:
        detail = f"{reading.modality} is read from one column beside the label; found {', '.join(map(str, values))}"
        raise InvalidDataset([(place, detail)])
    return Example(place, next(iter(values.values())), label)


def starts_as_text(head: bytes) -> bool:
    """Whether bytes may be the beginning of a text in UTF-8."""
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # a character cut off
    return bool(head.strip()) and b"\0" not in head


def whole(file: IO[bytes], size: int) -> bytes:
    """Exactly `size` bytes. Raises `EOFError`."""
    content = file.read(size)
    if len(content) != size:
        raise EOFError(f"{size} bytes were announced, {len(content)} are there")
    return content

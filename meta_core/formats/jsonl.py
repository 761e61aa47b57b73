"""Lines of JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meta_core.errors import InvalidDataset
from meta_core.format import Example, Format, formats, starts_as_text

LONGEST_LINE = 10_000_000
"""Bytes."""


@formats.register("jsonl")
class Jsonl(Format):
    """`{"text": …, "label": …}` a line, or `{"input": …, "label": …}` with an input of any modality."""

    @classmethod
    def fits(cls, path: Path, head: bytes) -> bool:
        """A text that begins with a brace."""
        return starts_as_text(head) and head.lstrip().startswith(b"{")

    def modality(self) -> str:
        """Text, or by the kind of the first input."""
        if self.reading.modality:
            return self.reading.modality
        with self.path.open("rb") as file:
            first = _parsed(file.readline(LONGEST_LINE + 1), 1)
        if "text" in first:
            return "text"
        if isinstance(first["input"], dict):
            return "table"
        return "vector" if isinstance(first["input"], list) else "text"

    def __iter__(self) -> Iterator[Example]:
        """Line by line; empty ones are passed over."""
        with self.path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if line.strip():
                    record = _parsed(line, number)
                    yield Example(f"line {number}", record["text" if "text" in record else "input"], record["label"])


def _parsed(line: bytes, number: int) -> dict[str, Any]:
    place = f"line {number}"
    if len(line) > LONGEST_LINE:
        raise InvalidDataset([(place, f"is longer than {LONGEST_LINE} bytes")])
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidDataset([(place, f"is not JSON: {error}")]) from None
    if not isinstance(record, dict) or record.keys() not in ({"text", "label"}, {"input", "label"}):
        found = ", ".join(map(str, record)) if isinstance(record, dict) else type(record).__name__
        raise InvalidDataset(
            [(place, f'a line is {{"text": …, "label": …}} or {{"input": …, "label": …}}; found {found}')]
        )
    return record

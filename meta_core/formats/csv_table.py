"""CSV with a line of column names."""

import csv
from collections.abc import Iterator
from pathlib import Path

from meta_core.cells import cell
from meta_core.errors import InvalidDataset
from meta_core.format import Example, Format, Reading, formats, row_example, starts_as_text


@formats.register("csv")
class Csv(Format):
    """Rows of cells, of which the `target` column (the last, if none is named) is the label."""

    @classmethod
    def fits(cls, path: Path, head: bytes) -> bool:
        """A text with a comma in its first line."""
        return starts_as_text(head) and b"," in head.split(b"\n")[0] and not head.lstrip().startswith((b"{", b"["))

    def modality(self) -> str:
        """Rows of a table."""
        return self.reading.modality or "table"

    def __iter__(self) -> Iterator[Example]:
        """Row by row."""
        number = 1
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                rows = csv.reader(file, strict=True)
                names = next(rows, [])
                target = _target(names, self.reading.target)
                for row in rows:
                    number = rows.line_num
                    if row:
                        yield _example(number, names, row, target, self.reading)
        except (UnicodeDecodeError, csv.Error) as error:
            raise InvalidDataset([(f"line {number}", f"cannot be read: {error}")]) from None


def _target(names: list[str], asked: str | None) -> int:
    if len(names) < 2 or len(set(names)) < len(names):
        raise InvalidDataset([("line 1", f"needs at least two different column names; found {names[:10]}")])
    if asked is not None and asked not in names:
        raise InvalidDataset([("line 1", f"has no column {asked!r}; it has: {', '.join(names[:50])}")])
    return len(names) - 1 if asked is None else names.index(asked)


def _example(number: int, names: list[str], row: list[str], target: int, reading: Reading) -> Example:
    if len(row) != len(names):
        raise InvalidDataset([(f"line {number}", f"has {len(row)} cells where line 1 has {len(names)}")])
    read = cell if reading.modality in (None, "table", "series") else str
    values = {name: read(text) for index, (name, text) in enumerate(zip(names, row, strict=True)) if index != target}
    return row_example(f"line {number}", values, cell(row[target]), reading)

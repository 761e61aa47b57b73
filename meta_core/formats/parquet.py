"""Parquet tables, through pyarrow."""

import datetime
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meta_core.errors import InvalidDataset, InvalidParameter
from meta_core.format import Example, Format, Reading, formats, row_example
from meta_core.limits import Limits

ROWS = 1000


@formats.register("parquet")
class Parquet(Format):
    """Rows of a table, of which the `target` column (the last, if none is named) is the label."""

    def __init__(self, path: Path, reading: Reading, limits: Limits) -> None:
        super().__init__(path, reading, limits)
        try:
            parquet = importlib.import_module("pyarrow.parquet")
        except ImportError:
            raise InvalidParameter("Parquet needs pyarrow: pip install 'shotput[parquet]', or send CSV") from None
        self._damaged = importlib.import_module("pyarrow").ArrowException, OSError, ValueError
        try:
            self._file = parquet.ParquetFile(path)
            names = list(self._file.schema_arrow.names)
            groups = [self._file.metadata.row_group(i) for i in range(self._file.num_row_groups)]
        except self._damaged as error:
            raise InvalidDataset([("the file", f"cannot be read as Parquet: {error}")]) from None
        limits.check("bytes once unpacked", sum(one.total_byte_size for one in groups), "max_dataset_unpacked_bytes")
        limits.check("cells", self._file.metadata.num_rows * len(names), "max_dataset_unpacked_bytes")
        self.target = reading.target or (names[-1] if names else "")
        if len(names) < 2 or len(set(names)) < len(names) or self.target not in names:
            found = ", ".join(names[:50])
            raise InvalidDataset(
                [("the columns", f"needs the column {self.target!r} and at least another; has: {found}")]
            )

    @classmethod
    def fits(cls, path: Path, head: bytes) -> bool:
        """By its first four bytes."""
        return head.startswith(b"PAR1")

    def modality(self) -> str:
        """Rows of a table."""
        return self.reading.modality or "table"

    def __iter__(self) -> Iterator[Example]:
        """Row by row."""
        number = 0
        try:
            for batch in self._file.iter_batches(batch_size=ROWS):
                for row in batch.to_pylist():
                    values = {name: _cell(value) for name, value in row.items()}
                    yield row_example(f"row {number}", values, values.pop(self.target), self.reading)
                    number += 1
        except self._damaged as error:
            raise InvalidDataset([(f"row {number}", f"cannot be read: {error}")]) from None


def _cell(value: Any) -> Any:
    """A value as it would stand in JSON."""
    if isinstance(value, float) and value != value:  # noqa: PLR0124 – not a number is a missing one
        return None
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value

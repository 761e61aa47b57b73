"""Any file of labelled texts."""

import csv
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from meta_core.config import Config
from meta_core.dataset import Dataset, Split, datasets
from meta_core.datasets.images import SHARES, share_of
from meta_core.episodes import ClassSource
from meta_core.errors import InvalidExample, InvalidTask, NotFound
from meta_core.modality import build_modality


class TextsConfig(Config):
    """Which file, and how long its texts may be."""

    path: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the file, without .jsonl or .csv")
    max_bytes: int = Field(4096, ge=16, le=65536, description="of a text in UTF-8")


class Record(NamedTuple):
    """A labelled text, and where it stands."""

    line: int
    text: Any
    label: str


@datasets.register("texts")
class Texts(Dataset):
    """`<datasets>/texts/<path>.jsonl`, an object with text and label a line, or `<path>.csv` with those columns.

    Classes go to train, validation and test by a hash of their names, 64 / 16 / 20 %, so that adding a class moves
    none of the others.
    """

    Config = TextsConfig
    config: TextsConfig
    modality = "text"

    def preprocessing(self) -> dict[str, Any]:
        """As configured."""
        return {"max_bytes": self.config.max_bytes}

    def example_shape(self) -> tuple[int, ...]:
        """Bytes of a text."""
        return (self.config.max_bytes,)

    def source(self, split: Split, *, augmented: bool = False) -> "TextSource":
        """Classes of one split, read as the service will read its users' texts; texts are never augmented."""
        low, high = SHARES[split]
        records = [record for record in self._records() if low <= share_of(record.label) < high]
        classes = sorted({record.label for record in records})
        if len(classes) < 2:
            raise InvalidTask(f"the {split} part of {self.config.path} has {len(classes)} classes; it needs at least 2")
        place = {label: index for index, label in enumerate(classes)}
        return TextSource(self._read(records), torch.tensor([place[record.label] for record in records]))

    def _read(self, records: list["Record"]) -> Tensor:
        reader = build_modality(self.modality, self.preprocessing())
        try:
            return reader.read([record.text for record in records], {})  # [M, max_bytes]
        except InvalidExample as error:
            line = records[error.index].line
            raise InvalidTask(f"line {line} of {self.config.path}: {error.detail}") from None

    def _records(self) -> Iterator["Record"]:
        for line, fields in self._lines():
            if not isinstance(fields, dict) or fields.get("label") is None or "text" not in fields:
                raise InvalidTask(f"line {line} of {self.config.path} has no text and label")
            yield Record(line, fields["text"], str(fields["label"]))

    def _lines(self) -> Iterator[tuple[int, Any]]:
        rows, table = (self.folder / f"{self.config.path}{suffix}" for suffix in (".jsonl", ".csv"))
        if not rows.is_file() and not table.is_file():
            raise NotFound(f"there is no {rows.name} and no {table.name} among the texts")
        with (rows if rows.is_file() else table).open(newline="", encoding="utf-8-sig") as file:
            if not rows.is_file():
                reader = csv.DictReader(file)
                yield from ((reader.line_num, row) for row in reader)
                return
            for number, line in enumerate(file, 1):
                try:
                    yield number, json.loads(line)
                except ValueError:
                    raise InvalidTask(f"line {number} of {rows.name} is no JSON") from None


class TextSource(ClassSource):
    """Episodes of texts, as bytes."""

    def read(self, chosen: Tensor, rng: torch.Generator) -> Tensor:
        """The texts at these indices [N], [N, max_bytes]."""
        return self.x[chosen]

"""Examples as they lie in files: folders of class folders, CSV tables, JSON."""

import base64
import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta_core.cells import cell
from meta_core.errors import InvalidTask


@dataclass(frozen=True)
class Examples:
    """Part of a request, and a name for each of its inputs where there is one."""

    body: dict[str, Any]
    sources: Sequence[str] = ()
    unlabelled_sources: Sequence[str] = ()

    def source(self, index: int) -> str:
        """What to call one input."""
        return self.sources[index] if index < len(self.sources) else str(index)


def support(path: Path, target: str | None) -> Examples:
    """The support set in a folder of class folders, a CSV file or a JSON file. Raises `InvalidTask`."""
    if path.is_dir():
        return _class_folders(path)
    if path.suffix.lower() == ".csv":
        return _labelled_rows(path, target)
    if path.suffix.lower() == ".json":
        body = read_json(path)
        if not isinstance(body, dict):
            raise InvalidTask(f"{path} must hold an object with inputs and labels, or with support")
        return Examples(body if "support" in body else {"support": body})
    raise InvalidTask(f"{path} is neither a folder of class folders nor a .csv or .json file")


def queries(paths: Sequence[Path], target: str | None) -> Examples:
    """The inputs in files of any kind, in the rows of a CSV file or in a JSON file. Raises `InvalidTask`."""
    first = paths[0]
    if first.suffix.lower() == ".json":
        content = read_json(first)
        return Examples({"inputs": content.get("inputs") if isinstance(content, dict) else content})
    if first.suffix.lower() == ".csv":
        rows, sources = _rows(first)
        return Examples({"inputs": [{k: cell(v) for k, v in row.items() if k != target} for row in rows]}, sources)
    files = [file for path in paths for file in (_files(path) if path.is_dir() else [path])]
    return Examples({"inputs": [_content(file) for file in files]}, [str(file) for file in files])


def _class_folders(folder: Path) -> Examples:
    files = [(file, label) for label in _visible(folder) if label.is_dir() for file in _files(label)]
    if not files:
        raise InvalidTask(f"{folder} holds no class folders with files in them; the name of each is the label")
    inputs, labels = [_content(file) for file, _ in files], [label.name for _, label in files]
    return Examples({"support": {"inputs": inputs, "labels": labels}}, [str(file) for file, _ in files])


def _labelled_rows(path: Path, target: str | None) -> Examples:
    rows, sources = _rows(path)
    columns = ", ".join(rows[0])
    if target is None:
        raise InvalidTask(f"say which column of {path} is the label with --target; it has: {columns}")
    if target not in rows[0]:
        raise InvalidTask(f"{path} has no column {target!r}; it has: {columns}")
    labels = _labels([row.pop(target) for row in rows])
    inputs = [{name: cell(text) for name, text in row.items()} for row in rows]
    return Examples({"support": {"inputs": inputs, "labels": labels}}, sources)


def _rows(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            numbered = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidTask(f"{path} cannot be read: {error}") from None
    if not numbered:
        raise InvalidTask(f"{path} needs a line of column names and at least one row")
    for line, row in numbered:
        if None in row or None in row.values():
            raise InvalidTask(f"line {line} of {path} does not have the {len(reader.fieldnames or ())} cells of line 1")
    return [row for _, row in numbered], [f"line {line}" for line, _ in numbered]


def _labels(texts: list[str]) -> list[Any]:
    """All of one kind: a column with both numbers and words holds words."""
    values = [cell(text) for text in texts]
    kinds = {type(value) for value in values}
    if kinds == {int, float}:
        return [float(value) for value in values]
    return values if len(kinds) == 1 else texts


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises `InvalidTask`."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidTask(f"{path} cannot be read: {error}") from None


def _content(file: Path) -> str:
    try:
        content = file.read_bytes()
        return content.decode("utf-8-sig") if file.suffix.lower() == ".txt" else base64.b64encode(content).decode()
    except OSError as error:
        raise InvalidTask(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidTask(f"{file} is not UTF-8: byte {error.start}") from None


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in _visible(folder) if path.is_file())


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))

"""Sections and tables in Markdown."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS

NOTES = Path(__file__).parents[1] / "notes"
COSTS = ["adapt, ms", "predict, ms", "state, KB"]
"""Titles of the columns that `costs` fills."""


def load(name: str) -> dict[str, Any]:
    """What a benchmark recorded."""
    record: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return record


def section(title: str, about: str, record: dict[str, Any], titles: Iterable[str], lines: Iterable[list[Any]]) -> str:
    """A heading, what is shown, the command that measures it again, and the table."""
    machine = record["machine"]
    gpu = f", {machine['gpu']}" if "gpu" in machine else ""
    where = f"{machine['processor']}, {machine['cores']} cores{gpu}, PyTorch {machine['torch']}, {machine['date']}"
    head = [f"## {title}\n", f"{about}\n", f"`{record['command']}` – {where}, commit {record['commit']}\n"]
    return "\n".join([*head, markdown_table(titles, lines)])


def notes(name: str) -> str:
    """What has to be said of a table's rows, from `notes/<name>.md`."""
    path = NOTES / f"{name}.md"
    return f"\n{path.read_text()}" if path.exists() else ""


def markdown_table(titles: Iterable[str], lines: Iterable[list[Any]]) -> str:
    """A table in Markdown."""
    names = list(titles)
    return "\n".join([_row(names), _row(["---"] * len(names)), *(_row(line) for line in lines), ""])


def _row(cells: Iterable[Any]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def percent(row: dict[str, Any], digits: int = 1) -> str:
    """Accuracy and half its interval."""
    return f"{100 * row['accuracy']:.{digits}f} ± {100 * row['interval']:.{digits}f}"


def costs(row: dict[str, Any]) -> list[str]:
    """Cells of `COSTS`, empty where they were not measured."""
    if "adapt_ms" not in row:
        return ["", "", ""]
    return [f"{row['adapt_ms']:.1f}", f"{row['predict_ms']:.2f}", f"{row['state_bytes'] / 1024:.1f}"]

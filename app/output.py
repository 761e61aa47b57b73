"""What the command line prints: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table


def fail(message: str, status: int = 1) -> NoReturn:
    """End the program with a sentence on stderr."""
    print(f"shotput: {message}", file=sys.stderr)
    sys.exit(status)


def print_json(value: Any) -> None:
    """An answer as it came."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Iterable[Any]], title: str | None = None) -> None:
    """Rows under their columns; as wide as they are where nobody's terminal limits them."""
    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, show_header=any(columns))
    for row in rows:
        table.add_row(*(readable(value) for value in row))
    console = Console(markup=False, highlight=False)
    console.width = console.width if console.is_terminal else 240
    console.print(table)


def print_rows(rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> None:
    """Some columns of each row."""
    print_table(columns, ([row.get(column) for column in columns] for row in rows))


def print_record(record: Mapping[str, Any], fields: Iterable[str]) -> None:
    """Some fields of one thing, a line each; what is not set is left out."""
    print_table(("", ""), ((field, record[field]) for field in fields if record.get(field) not in (None, {}, [])))


def readable(value: Any) -> str:
    """A JSON value as people write it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {readable(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(readable(item) for item in value)
    return str(value)


def scores_sentence(scores: Mapping[str, Any]) -> str:
    """The scores of an evaluation in one line."""
    regression = scores["accuracy"] is None
    size = f"{scores['shots']}-point" if regression else f"{scores['ways']}-way {scores['shots']}-shot"
    what = f"{scores['base']} ({scores['learner']}) on {scores['dataset']} {scores['split']}, {size}"
    if regression:
        result = f"MSE {scores['mse']:.4f} ± {scores['interval']:.4f}, NLL {scores['nll']:.4f}"
    else:
        accuracy = f"accuracy {100 * scores['accuracy']:.2f} ± {100 * scores['interval']:.2f} %"
        result = f"{accuracy}, NLL {scores['nll']:.4f}, ECE {100 * scores['ece']:.2f} %"
    return f"{what}, {scores['tasks']} tasks: {result}"

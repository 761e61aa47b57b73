"""Labels as people send them: strings, integers and booleans are classes; floats are targets."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from meta_core.errors import InvalidExample, InvalidTask, shown
from meta_core.limits import LARGEST_NUMBER
from meta_core.types import Task

Label = str | int | bool
LONGEST = 200
"""Characters of a class name."""


@dataclass(frozen=True)
class Labels:
    """`y` is [N] indices into `classes`, or [N, T] targets when there are no classes."""

    y: Tensor
    classes: tuple[Label, ...] | None

    @property
    def task(self) -> Task:
        """What kind of answer the labels ask for."""
        return "regression" if self.classes is None else "classification"

    def shots(self) -> dict[str, int]:
        """Examples of each class, by the name it has in JSON."""
        counts = Counter(self.y.tolist()) if self.classes is not None else {}
        return {class_name(label): counts[index] for index, label in enumerate(self.classes or ())}

    def counted(self) -> dict[str, Any]:
        """What the record of a model shows of them."""
        classes = list(self.classes) if self.classes else None
        return {"classes": classes, "shots": self.shots() if classes else {"examples": len(self.y)}}


def read_labels(values: Sequence[Any], task: Task | None = None) -> Labels:
    """Labels of a support set; `task` decides where numbers could mean either.

    Raises `InvalidExample` naming the first label that cannot be read, `InvalidTask` when there are not two classes.
    """
    kinds = [_kind(index, value) for index, value in enumerate(values)]
    if task is None:
        task = "regression" if {"float", "list"} & set(kinds) else "classification"
    return _targets(values, kinds) if task == "regression" else _classes(values, kinds)


def class_name(label: Label) -> str:
    """A class as the key of a JSON object."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _kind(index: int, value: Any) -> str:
    if isinstance(value, str) and not 0 < len(value) <= LONGEST:
        raise InvalidExample(index, f"a class name has 1–{LONGEST} characters; found {len(value)}", "labels")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise InvalidExample(index, "integer labels have at most 64 bits", "labels")
    if isinstance(value, bool | int | float | str | list):
        return type(value).__name__
    raise InvalidExample(
        index, f"a label is a string, integer, boolean, number or list of numbers; found {shown(value)}", "labels"
    )


def _classes(values: Sequence[Any], kinds: list[str]) -> Labels:
    for index, kind in enumerate(kinds):
        if kind != kinds[0] or kind in ("float", "list"):
            raise InvalidExample(
                index,
                f"class labels are all strings, all integers or all booleans; found {kinds[0]} and {kind}",
                "labels",
            )
    classes = tuple(sorted(set(values)))
    if len(classes) < 2:
        found = f"one class, {class_name(classes[0])!r}" if classes else "no label"
        raise InvalidTask(f"a support set needs at least two classes; found {found}")
    index_of = {label: index for index, label in enumerate(classes)}
    return Labels(torch.tensor([index_of[value] for value in values]), classes)


def _targets(values: Sequence[Any], kinds: list[str]) -> Labels:
    rows = [_target(index, value, kind) for index, (value, kind) in enumerate(zip(values, kinds, strict=True))]
    for index, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise InvalidExample(index, f"the first label has {len(rows[0])} targets, this one {len(row)}", "labels")
    if len(rows) < 2:
        raise InvalidTask(f"regression needs at least two examples; found {len(rows)}")
    return Labels(torch.tensor(rows, dtype=torch.float32), None)


def _target(index: int, value: Any, kind: str) -> list[float]:
    row = value if kind == "list" else [value]
    if kind in ("str", "bool") or not row or not all(type(v) in (int, float) for v in row):
        problem = "a regression target is a number or a list of numbers"
    elif not all(abs(v) < LARGEST_NUMBER for v in row):
        problem = f"a target must be finite and below {LARGEST_NUMBER:g}"
    else:
        return [float(v) for v in row]
    raise InvalidExample(index, f"{problem}; found {shown(value)}", "labels")

"""Cells of tables that are written as text."""

import math
from typing import Any


def cell(text: str) -> Any:
    """What a cell of a table means: nothing, a truth value, a number, else the text itself."""
    word = text.strip().lower()
    if word in ("", "nan"):
        return None
    if word in ("true", "false"):
        return word == "true"
    for number in (int, float):
        try:
            value = number(word)
        except ValueError:
            continue
        return value if math.isfinite(value) else text
    return text

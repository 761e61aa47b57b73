"""What the command line is given as text."""

import json
from collections.abc import Iterable
from typing import Any

from meta_core.errors import InvalidParameter


def pairs(texts: Iterable[str] | None) -> dict[str, Any]:
    """Values from key=value texts; what is no JSON is text. Raises `InvalidParameter`."""
    values: dict[str, Any] = {}
    for text in texts or ():
        key, separator, value = text.partition("=")
        if not (key and separator):
            raise InvalidParameter(f"a parameter reads key=value; found {text!r}")
        try:
            values[key] = json.loads(value)
        except ValueError:
            values[key] = value
    return values

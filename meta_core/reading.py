"""Whether two base models make the same tensors of the same inputs."""

from typing import Any

from meta_core.base import Base


def reading_difference(one: Base, other: Base) -> str:
    """In what two base models may make other tensors of the same inputs; empty where they make the same."""
    for what, first, second in (
        ("modality", one.spec.modality, other.spec.modality),
        ("preprocessing", _preprocessing(one), _preprocessing(other)),
        ("description of inputs", one.spec.description, other.spec.description),
    ):
        if first != second:
            return f"the {what} differs ({first} and {second})"
    return ""


def _preprocessing(base: Base) -> dict[str, Any]:
    return base.modality().config.model_dump(mode="json")

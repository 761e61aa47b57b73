"""Adapted models: what one support set taught one base model; immutable."""

from dataclasses import dataclass
from typing import Any

from meta_core.artifact import unpack
from meta_core.kept import split_kept
from meta_core.labels import Label
from meta_core.modality import Description
from meta_core.orders import checked_header
from meta_core.types import State, Task


@dataclass(frozen=True, kw_only=True)
class AdaptedModel:
    """State of one task, with what is needed to read its queries and name its answers."""

    id: str
    tenant: str
    base: str
    learner: str
    params: dict[str, Any]
    task: Task
    classes: tuple[Label, ...]
    shape: tuple[int, ...]
    description: Description
    calibration: float
    left_out: tuple[float, ...] = ()
    """How strange each left-out example of the support was, ascending; see `conformal`."""
    state: State
    expires_at: str | None = None

    @property
    def bytes(self) -> int:
        """Memory that the state takes."""
        return sum(tensor.nbytes for tensor in self.state.values())


def unpack_adapted(content: bytes, id: str) -> AdaptedModel:
    """An adapted model from its artifact. Raises `Gone`, `Unusable` or `CorruptArtifact`."""
    tensors, header = unpack(content)
    checked_header(header, id)
    state, _ = split_kept(tensors)
    record, details = header["record"], header["details"]
    return AdaptedModel(
        id=record["id"],
        tenant=header["tenant"],
        base=record["base"],
        learner=record["learner"],
        params=details["params"],
        task=record["task"],
        classes=tuple(record["classes"] or ()),
        shape=tuple(details["shape"]),
        description=details["description"],
        calibration=details["calibration"],
        left_out=tuple(details.get("left_out", ())),
        state=state,
        expires_at=record.get("expires_at"),
    )

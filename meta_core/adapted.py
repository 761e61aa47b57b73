"""Adapted models: what one support set taught one base model; immutable."""

import json
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from meta_core.artifact import unpack
from meta_core.kept import split_kept
from meta_core.labels import Label, class_name
from meta_core.modality import Description
from meta_core.orders import checked_header
from meta_core.types import State, Task
from meta_core.unknown import MEANS, Novelty
from meta_core.widths import NORMAL_90


@dataclass(frozen=True, kw_only=True, eq=False)
class AdaptedModel:
    """State of one task, with what is needed to read its queries and name its answers; equal to itself alone."""

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
    width: float = NORMAL_90
    """Standard deviations on each side of the mean in an interval of 90 %."""
    novelty: Novelty | None = None
    means: Tensor | None = None
    """Class means [C, D], by which to tell what is of no class; both None for regression."""
    state: State
    expires_at: str | None = None

    @cached_property
    def settings(self) -> str:
        """The parameters as one string, by which learners are told apart."""
        return json.dumps(self.params)

    @cached_property
    def kind(self) -> tuple[Hashable, ...]:
        """What models have in common that one learner made."""
        return self.base, self.tenant, self.learner, self.settings, self.shape, self.task

    @cached_property
    def reading(self) -> tuple[Hashable, ...]:
        """What models have in common that read their queries alike."""
        return self.base, self.tenant, json.dumps(self.description)

    @cached_property
    def class_names(self) -> list[str]:
        """The classes as keys of a JSON object."""
        return [class_name(label) for label in self.classes]

    @property
    def bytes(self) -> int:
        """Memory that the state takes."""
        return sum(tensor.nbytes for tensor in (*self.state.values(), *([] if self.means is None else [self.means])))


def unpack_adapted(content: bytes, id: str) -> AdaptedModel:
    """An adapted model from its artifact. Raises `Gone`, `Unusable` or `CorruptArtifact`."""
    tensors, header = unpack(content)
    checked_header(header, id)
    state, _ = split_kept(tensors)
    means = state.pop(MEANS, None)
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
        width=details.get("width", NORMAL_90),
        novelty=_novelty(details.get("unknown")),
        means=means,
        state=state,
        expires_at=record.get("expires_at"),
    )


def _novelty(values: dict[str, Any] | None) -> Novelty | None:
    if values is None:
        return None
    return Novelty(**{**values, "weights": tuple(values["weights"]), "left_out": tuple(values["left_out"])})

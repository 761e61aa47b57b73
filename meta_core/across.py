"""Members of `average` and `stack` on other base models: one input, embedded by several bodies."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from meta_core.backbone import Backbone, Normalisation
from meta_core.base import Base
from meta_core.errors import InvalidParameter
from meta_core.learner import Learner, learners
from meta_core.members import Combination, Member, Placed, checked
from meta_core.reading import reading_difference
from meta_core.start import Bases
from meta_core.types import Task

Build = Callable[[Member], Learner]
"""Makes the learner of a member on the base model that it names."""


class Joined(Backbone):
    """The embeddings of several bodies one beside the other, [N, D₁ + D₂ + …]; all take the same inputs."""

    normalisation: Normalisation = "fixed"

    def __init__(self, bodies: Sequence[Backbone]) -> None:
        super().__init__(bodies[0].shape, bodies[0].config)
        self.bodies = nn.ModuleList(bodies)
        self.dimension = sum(body.dimension for body in bodies)

    def forward(self, x: Tensor) -> Tensor:
        """[N, *shape] to [N, D₁ + D₂ + …]."""
        return torch.cat([body(x) for body in self.bodies], -1)


def bases_named(params: Mapping[str, Any]) -> list[str]:
    """The other base models, name@version, in the parameters of an adapted model."""
    members = params.get("members") or []
    return list(dict.fromkeys(member["base"] for member in members if member.get("base")))


def pinned(base: Base, params: dict[str, Any], bases: Bases) -> dict[str, Any]:
    """Parameters in which members name the versions of other base models; one on `base` itself names none.

    Raises `NotFound`, or `InvalidParameter` for a base model that reads its inputs differently.
    """
    if not bases_named(params):
        return params
    return {**params, "members": [_pinned(base, member, bases) for member in params["members"]]}


def _pinned(base: Base, member: dict[str, Any], bases: Bases) -> dict[str, Any]:
    other = bases(member["base"]) if member.get("base") else base
    if difference := reading_difference(base, other):
        raise InvalidParameter(
            f"a member on {other.reference} cannot join {base.reference}: {difference}; one reading serves both",
            "members",
        )
    kept = {key: value for key, value in member.items() if key != "base"}
    return kept if other is base else {**kept, "base": other.reference}


def learner_across(name: str, params: Mapping[str, Any], task: Task, build: Build) -> Learner:
    """A combination that only adapts and answers: its members as `build` makes them, its body theirs, joined.

    Raises `InvalidParameter` for a member that cannot be one.
    """
    cls = learners[name]
    assert issubclass(cls, Combination)
    config = cls.Config.parse(params, f"learner {name}")
    members = [checked(member, build) for member in config.members or ()]
    columns: dict[Backbone, slice] = {}
    end = 0
    for member in members:
        if member.backbone not in columns:
            columns[member.backbone] = slice(end, end + member.backbone.dimension)
            end += member.backbone.dimension
    placed = [Placed(member, columns[member.backbone]) for member in members]
    return cls(Joined(list(columns)), config, task, placed).eval()

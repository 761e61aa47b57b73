"""What `average` and `stack` have in common: several learners on the same embeddings."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from meta_core.backbone import Backbone
from meta_core.config import Config
from meta_core.errors import InvalidParameter, InvalidTask
from meta_core.learner import Learner, build_learner, learners
from meta_core.types import Categorical, Gaussian, Prediction, State, Support, Task

USUAL: dict[Task, tuple[str, ...]] = {"classification": ("protonet", "ridge", "gp"), "regression": ("ridge", "gp")}
"""Members where none are named: in closed form, and different from each other."""


class Member(Config):
    """A learner by name, on the base model that is adapted or another one."""

    learner: str = Field(max_length=100)
    params: dict[str, Any] = Field(default_factory=dict)
    base: str | None = Field(None, min_length=1, max_length=200, exclude_if=lambda base: base is None)


class Placed(NamedTuple):
    """A member, and in which columns of the embeddings are those that it takes."""

    learner: Learner
    columns: slice = slice(None)


class MembersConfig(Config):
    """The learners that answer together."""

    members: Annotated[list[Member], Field(min_length=2, max_length=8)] | None = Field(
        None,
        description='2–8 learners, each a name or {"learner": …, "params": {…}, "base": …}, the last another base '
        "model that reads the same inputs; null: protonet, ridge and gp, or ridge and gp for regression",
    )

    @field_validator("members", mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        if not isinstance(values, list | tuple):
            return values
        return [{"learner": value} if isinstance(value, str) else value for value in values]


class Combination(Learner):
    """Several learners adapted to the same support, whose answers are mixed by weights; the base of two learners."""

    Config = MembersConfig
    config: MembersConfig
    tasks: ClassVar[frozenset[Task]] = frozenset({"classification", "regression"})

    def __init__(
        self, backbone: Backbone, config: MembersConfig, task: Task, ready: Sequence[Placed] | None = None
    ) -> None:
        super().__init__(backbone, config, task)
        placed = ready or [Placed(_member(member, backbone, task)) for member in _members(config, task)]
        self.members = nn.ModuleList(member.learner for member in placed)
        self.columns = [member.columns for member in placed]
        self.most_left_out = min(member.most_left_out for member in self.each())  # type: ignore[misc]
        self.first_order = next((member.first_order for member in self.each() if member.first_order), "")
        self.without_gradient = next((m.without_gradient for m in self.each() if m.without_gradient), "")

    @classmethod
    def parts(cls, values: Mapping[str, Any], task: Task) -> Sequence[str]:
        """Names of the members."""
        return [
            member.learner
            for member in _members(MembersConfig.parse({"members": values.get("members")}, cls.name), task)
        ]

    def take_weights(self, name: str, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Members of that name take the weights, unless they were asked for with other settings."""
        for asked, member in zip(_members(self.config, self.task), self.each(), strict=True):
            if member.name != name:
                continue
            if member.config == type(member.config).parse(config, f"learner {name}"):
                member.load_state_dict(weights)
            elif member.needs_meta_training:
                raise InvalidParameter(f"{name} was meta-trained with {dict(config)}; found {asked.params}", "members")

    def adapt_members(self, support: Support, known: Sequence[State | None] = ()) -> State:
        """The states of all members, prefixed by their positions; those that are `known` are taken as they are."""
        own = zip(known or [None] * len(self.members), self.each(), self.supports(support), strict=True)
        states = [state or member.adapt(seen) for state, member, seen in own]
        return {f"{i}.{name}": value for i, state in enumerate(states) for name, value in state.items()}

    def predict(self, state: State, z: Tensor) -> Prediction:
        """What the members answer, mixed."""
        own = zip(self.each(), self.states_of(state), self.seen(z), strict=True)
        return self.mix(state, [member.predict(part, seen) for member, part, seen in own])

    def states_of(self, state: State) -> list[State]:
        """That of each member."""
        prefixes = [f"{i}." for i in range(len(self.members))]
        return [{name[len(p) :]: value for name, value in state.items() if name.startswith(p)} for p in prefixes]

    def seen(self, z: Tensor) -> list[Tensor]:
        """Of embeddings [..., D], those that each member takes."""
        return [z[..., columns] for columns in self.columns]

    def supports(self, support: Support) -> list[Support]:
        """The support set as each member sees it."""
        return [replace(support, x=x) for x in self.seen(support.x)]

    def left_out_by_each(self, support: Support, left_out: Tensor) -> list[Prediction]:
        """What each member says to the examples at `left_out` [M], each from all the others."""
        own = zip(self.each(), self.supports(support), strict=True)
        return [member.leave_one_out(seen, left_out) for member, seen in own]

    @abstractmethod
    def mix(self, state: State, answers: Sequence[Prediction]) -> Prediction:
        """One answer of those of the members."""

    @abstractmethod
    def left_out_from(self, answers: Sequence[Prediction], y: Tensor) -> Prediction:
        """`leave_one_out`, where the members' own answers to the left out, whose truth is `y`, are known already."""

    def leave_one_out(self, support: Support, left_out: Tensor) -> Prediction:
        """What the members say to each without it, mixed."""
        return self.left_out_from(self.left_out_by_each(support, left_out), support.y[left_out])

    def each(self) -> list[Learner]:
        """The members."""
        return [member for member in self.members if isinstance(member, Learner)]


def mixed(answers: Sequence[Prediction], weights: Tensor) -> Prediction:
    """The mixture of several answers, `weights` [K] or [Q, K]; that of Gaussians as the one with the same moments."""
    if isinstance(answers[0], Categorical):
        logs = torch.stack([a.log_probabilities for a in answers if isinstance(a, Categorical)], -1)  # [Q, C, K]
        weighted = logs + weights.to(logs).log().expand(len(logs), -1)[:, None]
        return Categorical(weighted.logsumexp(-1).log_softmax(-1))
    gaussians = [a for a in answers if isinstance(a, Gaussian)]
    w = weights.to(gaussians[0].mean).expand(len(answers[0]), -1)[:, None]  # [Q, 1, K]
    means = torch.stack([a.mean for a in gaussians], -1)  # [Q, T, K]
    mean = (w * means).sum(-1)
    variance = (w * (torch.stack([a.variance for a in gaussians], -1) + (means - mean[..., None]).square())).sum(-1)
    return Gaussian(mean, variance)


def _members(config: MembersConfig, task: Task) -> list[Member]:
    return config.members or [Member(learner=name) for name in USUAL[task]]


def _member(member: Member, backbone: Backbone, task: Task) -> Learner:
    if member.base is not None:
        raise InvalidParameter("a combination across base models can be adapted, not trained or evaluated", "members")
    learner = checked(member, lambda asked: build_learner(asked.learner, backbone, asked.params, task))
    del learner.backbone  # members see embeddings; the weights that make them are the combination's alone
    return learner


def checked(member: Member, build: Callable[[Member], Learner]) -> Learner:
    """What `build` makes of a member. Raises `InvalidParameter` where that cannot be one."""
    cls = learners[member.learner]
    if issubclass(cls, Combination):
        raise InvalidParameter(f"{member.learner} cannot be a member: it has members itself", "members")
    try:
        learner = build(member)
    except InvalidTask as error:
        raise InvalidParameter(f"{member.learner} cannot be a member: {error}", "members") from None
    if not learner.only_embeds:
        raise InvalidParameter(f"{member.learner} cannot be a member: it does not take embeddings", "members")
    return learner

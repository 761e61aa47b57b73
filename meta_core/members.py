"""What `average` and `stack` have in common: several learners on the same embeddings."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

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
    """A learner by name."""

    learner: str = Field(max_length=100)
    params: dict[str, Any] = Field(default_factory=dict)


class MembersConfig(Config):
    """The learners that answer together."""

    members: Annotated[list[Member], Field(min_length=2, max_length=8)] | None = Field(
        None,
        description='2–8 learners, each a name or {"learner": …, "params": {…}}; null: protonet, ridge and gp, '
        "or ridge and gp for regression",
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

    def __init__(self, backbone: Backbone, config: MembersConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.members = nn.ModuleList(_member(member, backbone, task) for member in _members(config, task))
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

    def adapt_members(self, support: Support) -> State:
        """The states of all members, prefixed by their positions."""
        states = [member.adapt(support) for member in self.each()]
        return {f"{i}.{name}": value for i, state in enumerate(states) for name, value in state.items()}

    def predict(self, state: State, z: Tensor) -> Prediction:
        """What the members answer, mixed."""
        own = zip(self.each(), self.states_of(state), strict=True)
        return self.mix(state, [member.predict(part, z) for member, part in own])

    def states_of(self, state: State) -> list[State]:
        """That of each member."""
        prefixes = [f"{i}." for i in range(len(self.members))]
        return [{name[len(p) :]: value for name, value in state.items() if name.startswith(p)} for p in prefixes]

    @abstractmethod
    def mix(self, state: State, answers: Sequence[Prediction]) -> Prediction:
        """One answer of those of the members."""

    @abstractmethod
    def left_out_from(self, answers: Sequence[Prediction], y: Tensor) -> Prediction:
        """`leave_one_out`, where the members' own answers to the left out, whose truth is `y`, are known already."""

    def leave_one_out(self, support: Support, left_out: Tensor) -> Prediction:
        """What the members say to each without it, mixed."""
        return self.left_out_from([m.leave_one_out(support, left_out) for m in self.each()], support.y[left_out])

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


def member_names(combination: Combination) -> list[str | None]:
    """Names of its members; None for one that was given parameters of its own."""
    members = _members(combination.config, combination.task)
    return [member.learner if not member.params else None for member in members]


def _member(member: Member, backbone: Backbone, task: Task) -> Learner:
    cls = learners[member.learner]
    if issubclass(cls, Combination):
        raise InvalidParameter(f"{member.learner} cannot be a member: it has members itself", "members")
    try:
        learner = build_learner(member.learner, backbone, member.params, task)
    except InvalidTask as error:
        raise InvalidParameter(f"{member.learner} cannot be a member: {error}", "members") from None
    if not learner.only_embeds:
        raise InvalidParameter(f"{member.learner} cannot be a member: it does not take embeddings", "members")
    del learner.backbone  # members see embeddings; the weights that make them are the combination's alone
    return learner

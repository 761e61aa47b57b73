"""The values that every part speaks in: tasks, episodes, states, predictions.

Shapes: N support examples, Q queries, C classes (ways), T regression targets, D embedding dimension.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from meta_core.errors import InvalidTask
from meta_core.transfer import sent

Task = Literal["classification", "regression"]
State = dict[str, Tensor]
"""All that a task taught: flat, small, and storable as it is."""


@dataclass(frozen=True)
class Support:
    """The labelled examples of one task.

    `x` is [N, *shape] as inputs or [N, D] once encoded; `y` is [N] class indices (int64) below `ways`, or
    [N, T] targets with `ways` None. `unlabelled` are more inputs of the task, [U, *shape] or encoded like `x`, that
    some learners use. Raises `InvalidTask` when these do not belong together.
    """

    x: Tensor
    y: Tensor
    ways: int | None
    unlabelled: Tensor | None = None

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise InvalidTask(f"{len(self.x)} examples but {len(self.y)} labels")
        if not len(self.y):
            raise InvalidTask("a support set needs at least one example; found none")
        if self.ways is None and self.y.dim() != 2:
            raise InvalidTask(f"regression targets are [N, T]; found {list(self.y.shape)}")
        if self.unlabelled is not None and self.unlabelled.shape[1:] != self.x.shape[1:]:
            shapes = f"{list(self.unlabelled.shape[1:])}; the labelled ones are {list(self.x.shape[1:])}"
            raise InvalidTask(f"unlabelled examples are of shape {shapes}")

    def __len__(self) -> int:
        return len(self.y)

    @property
    def task(self) -> Task:
        """What kind of answer the labels ask for."""
        return "regression" if self.ways is None else "classification"

    def one_hot(self) -> Tensor:
        """Class membership, [N, C], in the dtype of `x`."""
        return self._members

    @cached_property
    def _members(self) -> Tensor:
        return (self.y[:, None] == torch.arange(int(self.ways or 0), device=self.y.device)).to(self.x)  # [N, C]

    def counts(self) -> Tensor:
        """Shots of each class, [C]."""
        return self._counts

    @cached_property
    def _counts(self) -> Tensor:
        return self._members.sum(0)

    def class_means(self) -> Tensor:
        """Mean of the examples of each class, [C, D]."""
        return self.mean_by_class(self.x)

    def mean_by_class(self, values: Tensor) -> Tensor:
        """Mean of what belongs to the examples [N, D] over those of each class, [C, D]."""
        return self.one_hot().T @ values / self.counts()[:, None]

    def without(self, index: int) -> "Support":
        """The same task less one example."""
        keep = torch.arange(len(self)) != index
        return replace(self, x=self.x[keep], y=self.y[keep])


@dataclass(frozen=True)
class Episode:
    """A support set and the labelled queries `x` [Q, *shape], `y` [Q] or [Q, T] that grade what it taught.

    `members` [C] tells which classes of their source the ways are, where that is known.
    """

    support: Support
    x: Tensor
    y: Tensor
    members: Tensor | None = None

    def to(self, device: torch.device) -> "Episode":
        """The same episode on a device."""
        s = self.support
        unlabelled = None if s.unlabelled is None else sent(s.unlabelled, device)
        support = Support(sent(s.x, device), sent(s.y, device), s.ways, unlabelled)
        return Episode(support, sent(self.x, device), sent(self.y, device), self.members)


@dataclass(frozen=True)
class Categorical:
    """A probability for each class: `log_probabilities` [Q, C]."""

    log_probabilities: Tensor

    def nll(self, y: Tensor) -> Tensor:
        """Negative log-likelihood of the true classes `y` [Q], in nats, [Q]."""
        return -self.log_probabilities.gather(-1, y[:, None]).squeeze(-1)  # [Q]

    def __len__(self) -> int:
        return len(self.log_probabilities)


@dataclass(frozen=True)
class Gaussian:
    """A normal distribution for each target: `mean` and `variance` [Q, T]."""

    mean: Tensor
    variance: Tensor

    def nll(self, y: Tensor) -> Tensor:
        """Negative log-likelihood of the true targets `y` [Q, T], in nats, summed over targets, [Q]."""
        squared = (y - self.mean).square() / self.variance
        return 0.5 * (squared + self.variance.log() + math.log(2 * math.pi)).sum(-1)  # [Q]

    def __len__(self) -> int:
        return len(self.mean)


Prediction = Categorical | Gaussian

"""The contract of a learner: how examples become a state, and a state answers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from meta_core import mapped
from meta_core.backbone import Backbone
from meta_core.config import Config as AnyConfig
from meta_core.episodes import Size, TaskSource
from meta_core.errors import InvalidParameter, InvalidTask
from meta_core.registry import Registry
from meta_core.types import Categorical, Episode, Gaussian, Prediction, State, Support, Task


class ParameterGroup(NamedTuple):
    """Meta-parameters with `pace` times the rate of the others, and a weight decay of their own."""

    parameters: list[nn.Parameter]
    pace: float = 1.0
    weight_decay: float = 0.0


class Covariance(NamedTuple):
    """What is believed of answers before any label is seen: [M, M], and the variance of a label's noise."""

    matrix: Tensor
    noise: float


class Learner(nn.Module, ABC):
    """A meta-learning algorithm; its parameters are exactly the meta-parameters.

    `encode` is what all tasks share and the only door for inputs, so that the engine can encode many tasks in one
    pass; `adapt` and `predict` see encoded values. No task is kept on the learner, and `adapt` is differentiable
    unless called under `torch.no_grad()`.
    """

    name: ClassVar[str]
    Config: ClassVar[type[AnyConfig]] = AnyConfig
    tasks: ClassVar[frozenset[Task]] = frozenset({"classification"})
    """Kinds of task it can learn."""
    needs_meta_training: ClassVar[bool] = False
    """Whether it only works with the base model it was trained in; otherwise it takes any base's embeddings."""
    adapts_body: ClassVar[bool] = False
    """Whether adapting changes the backbone, which then must not hold running statistics."""
    keeps_statistics: ClassVar[bool] = False
    """Whether its state has the statistics of a body that normalises by the support."""
    uses_unlabelled: ClassVar[bool] = False
    """Whether unlabelled inputs of the task help it; the others refuse them."""
    broadcasts: ClassVar[bool] = False
    """Whether `predict` takes stacked states and queries [M, Q, D] as well, and answers them as each alone."""
    batches_tasks: bool = False
    """Whether `adapt`, `predict` and its meta-loss can be mapped over stacked tasks by `torch.func.vmap`."""
    size_limits: ClassVar[str] = ""
    """What ways and shots it is limited to, or works badly beyond; empty when any do."""
    first_order: str = ""
    """Why the meta-gradient is not the exact slope of the meta-loss; empty when it is."""
    without_gradient: str = ""
    """Why it cannot be meta-trained by gradient; empty when it can."""
    most_left_out: ClassVar[int] = 32
    """How many examples `leave_one_out` is asked for, where it has to adapt again for each of them."""

    def __init__(self, backbone: Backbone, config: AnyConfig, task: Task) -> None:
        super().__init__()
        if task not in self.tasks:
            raise InvalidTask(f"learner {self.name} does {' and '.join(sorted(self.tasks))}, not {task}")
        if self.adapts_body and backbone.normalisation == "running":
            raise InvalidParameter(
                f"learner {self.name} adapts the body, which cannot be done with running batch statistics; "
                f"build backbone {backbone.name} with group normalisation"
            )
        if backbone.normalisation == "support" and not self.keeps_statistics:
            raise InvalidParameter(
                f"learner {self.name} keeps no statistics of the support, by which backbone {backbone.name} "
                "normalises; only those that move the whole body do"
            )
        self.backbone = backbone
        self.config = config
        self.task: Task = task

    def encode(self, x: Tensor) -> Tensor:
        """What is shared by all tasks: inputs [N, *shape] to embeddings [N, D]."""
        z: Tensor = self.backbone(x)
        return z

    @property
    def only_embeds(self) -> bool:
        """Whether `encode` is the backbone alone: then all such learners of a base model encode alike."""
        return type(self).encode is Learner.encode

    def inference(self) -> Self:
        """Itself, able only to adapt and answer from now on: the backbone takes its inference form.

        Learners that use the weights of the backbone, not only its embeddings, override this and leave it be.
        """
        if not self.adapts_body:
            self.backbone = self.backbone.inference()
        return self

    @abstractmethod
    def adapt(self, support: Support) -> State:
        """The state that one encoded support set teaches."""

    @abstractmethod
    def predict(self, state: State, z: Tensor) -> Prediction:
        """Answers to encoded queries [Q, D], each by itself."""

    def meta_loss(self, episode: Episode) -> Tensor:
        """Mean negative log-likelihood of the queries after adapting to the support, a scalar."""
        encoded = self.encode_episode(episode)
        return self.predict(self.adapt(encoded.support), encoded.x).nll(episode.y).mean()

    def encode_episode(self, episode: Episode) -> Episode:
        """The episode with all its inputs, the unlabelled ones too, encoded in one pass."""
        support = episode.support
        if support.unlabelled is None:
            z = self.encode(torch.cat([support.x, episode.x]))
            return Episode(replace(support, x=z[: len(support)]), z[len(support) :], episode.y)
        parts = [support.x, support.unlabelled, episode.x]
        x, unlabelled, queries = torch.split(self.encode(torch.cat(parts)), [len(part) for part in parts])
        return Episode(replace(support, x=x, unlabelled=unlabelled), queries, episode.y)

    @classmethod
    def parts(cls, values: Mapping[str, Any], task: Task) -> Sequence[str]:
        """Names of the other learners that it is made of, given its settings."""
        return ()

    def take_weights(self, name: str, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Give the parts of that name what a base model learned for its own learner, of these settings."""

    def take_embedding_mean(self, mean: Tensor) -> None:
        """Hear what the mean embedding [D] of the training set is, where the base model knows it."""

    def begin(self, source: TaskSource, size: Size, rng: torch.Generator) -> None:
        """Take from training tasks what needs no gradient, before the first step of meta-training."""

    def hear_progress(self, done: float) -> None:
        """Hear before each step how much of meta-training is done, from 0 to 1."""

    def parameter_groups(self) -> list[ParameterGroup]:
        """Meta-parameters that meta-training moves otherwise than the rest."""
        return []

    def leave_one_out(self, support: Support, left_out: Tensor) -> Prediction:
        """Answers to the support examples at `left_out` [M], each predicted from all the others.

        Learners with a closed form override this; here every one costs an `adapt`, several in one pass where that pays.
        """
        places = left_out.tolist()
        queries = [support.x[i : i + 1] for i in places]
        return concatenate(self.answer_each([support.without(i) for i in places], queries))

    @classmethod
    def adapts_again(cls) -> bool:
        """Whether leaving one out is another `adapt` without it."""
        own = cls.leave_one_out, cls.adapt_and_leave_out
        return own == (Learner.leave_one_out, Learner.adapt_and_leave_out)

    def adapt_each(self, tasks: Sequence[Support]) -> list[State]:
        """The state of each of several tasks, in one pass over those that are alike where that pays."""
        return mapped.each(
            lambda task, _: self.adapt(task), tasks, [task.x[:0] for task in tasks], self.room(tasks[0].x.device)
        )

    def answer_each(self, tasks: Sequence[Support], queries: Sequence[Tensor]) -> list[Prediction]:
        """Answers of the states of several tasks to encoded queries [Q, D] of their own; computed like `adapt_each`."""

        def answer(task: Support, z: Tensor) -> State:
            return vars(self.predict(self.adapt(task), z))

        kind = Categorical if self.task == "classification" else Gaussian
        return [kind(**said) for said in mapped.each(answer, tasks, queries, self.room(tasks[0].x.device))]

    def room(self, device: torch.device) -> mapped.Room | None:
        """Of what size its tasks go sooner in one pass; None where they are taken one after the other."""
        if not self.batches_tasks:
            return None
        return mapped.room(device, convolutions=self.adapts_body and not self.backbone.linear)

    def covariance(self, support: Support, z: Tensor) -> Covariance | None:
        """The covariance of the answers to encoded inputs [M, D], with the numbers that a support set chooses.

        None for learners that are no Gaussian process.
        """
        return None

    def adapt_and_leave_out(self, support: Support, left_out: Tensor) -> tuple[State, Prediction]:
        """Both at once, for learners to which the one is half the other."""
        return self.adapt(support), self.leave_one_out(support, left_out)


learners: Registry[type[Learner]] = Registry("learner", "meta_core.learners")


def build_learner(name: str, backbone: Backbone, values: Mapping[str, Any], task: Task) -> Learner:
    """A learner by name on a backbone. Raises `NotFound`, `InvalidParameter` or `InvalidTask`."""
    cls = learners[name]
    return cls(backbone, cls.Config.parse(values, f"learner {name}"), task)


def concatenate(answers: list[Prediction]) -> Prediction:
    """Predictions of one kind, one after the other."""
    if isinstance(answers[0], Categorical):
        return Categorical(torch.cat([a.log_probabilities for a in answers if isinstance(a, Categorical)]))
    gaussians = [a for a in answers if isinstance(a, Gaussian)]
    return Gaussian(torch.cat([a.mean for a in gaussians]), torch.cat([a.variance for a in gaussians]))

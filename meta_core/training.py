"""Meta-training: one loop for every learner, with checkpoints that continue bit for bit on a CPU."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.config import Config
from meta_core.episodes import Size, TaskSource
from meta_core.errors import CorruptArtifact, InvalidTask
from meta_core.evaluation import evaluate
from meta_core.learner import Learner
from meta_core.ranks import Ranks

Tensors = dict[str, Tensor]


class TrainingConfig(Config):
    """How a learner is meta-trained."""

    steps: int = Field(2000, ge=1, le=10_000_000, description="optimiser steps")
    tasks: int = Field(1, ge=1, le=1024, description="tasks whose loss is averaged in one step")
    ways: int = Field(20, ge=2, le=1000, description="classes of a training task (classification)")
    shots: int = Field(1, ge=1, le=1000, description="support examples per class, or points of a regression task")
    queries: int = Field(5, ge=1, le=1000, description="queries per class, or points of a regression task")
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    rate: float = Field(1e-3, gt=0, le=10, description="peak learning rate; falls to zero along a cosine")
    warm_up: int = Field(0, ge=0, description="steps over which the rate rises to its peak")
    weight_decay: float = Field(1e-4, ge=0)
    clip: float = Field(10.0, gt=0, description="largest norm of the meta-gradient")
    average: float = Field(0.998, ge=0, lt=1, description="decay of the running average of the weights; 0 keeps none")
    seed: int = Field(0, ge=0)
    validate_every: int = Field(500, ge=1, description="steps between validations and checkpoints")
    validation_tasks: int = Field(
        100, ge=0, description="tasks drawn from validation classes each time; 0 trains on those classes too"
    )


Point = tuple[int, float, float]
"""Step, mean loss since the last point, and validation score."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands: `loss` is that of the last step, `validation` the newest score.

    `curve` holds a point for every validation so far; `episodes` counts the tasks that were learned from.
    """

    step: int
    total_steps: int
    loss: float
    validation: float | None
    episodes: int = 0
    curve: tuple[Point, ...] = ()


class Checkpoints(Protocol):
    """Where a running training keeps its last checkpoint."""

    def load(self) -> Tensors | None:
        """The last one, if there is any."""

    def save(self, tensors: Tensors) -> None:
        """Replace the last one."""


class NoCheckpoints:
    """For trainings that need not survive."""

    def load(self) -> None:
        """There is none."""

    def save(self, tensors: Tensors) -> None:
        """Forget it."""


class MetaTraining:
    """A learner being trained on episodes of `source`, chosen by its score on `validation` if there is one.

    The weights that count are a running average of those being optimised; of the averages seen at validation, the
    best one is kept, without validation the last one. Everything that decides what comes next is in `tensors()`.
    """

    def __init__(
        self,
        learner: Learner,
        config: TrainingConfig,
        source: TaskSource,
        validation: TaskSource | None,
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks = ranks or Ranks()
        self.learner = learner
        self.config = config
        self.source = source
        self.validation = validation
        self.size = Size(ways=config.ways, shots=config.shots, queries=config.queries)
        self.average = copy.deepcopy(learner)
        self.best = copy.deepcopy(learner.state_dict())
        self.best_score = -math.inf
        self.step = 0
        self.curve: list[Point] = []
        self.losses: list[float] = []
        self.rng = torch.Generator().manual_seed(config.seed)
        self.optimizer = _optimizer(learner, config)

    def run(self, report: Callable[[Progress], None], checkpoints: Checkpoints | None = None) -> None:
        """Train to the end, from the last checkpoint if there is one, and leave the best weights in the learner.

        `report` is called after every step and may raise to stop the training.
        """
        checkpoints = checkpoints or NoCheckpoints()
        last = self.ranks.from_leader(checkpoints.load() if self.ranks.leads else None)
        if last is not None:
            self.restore(last)
        while self.step < self.config.steps:
            loss = self._advance()
            self.losses.append(loss)
            if self.ranks.leads and (self.step % self.config.validate_every == 0 or self.step == self.config.steps):
                self._note_validation()
                checkpoints.save(self.tensors())
            report(self._progress(loss))
        self.learner.load_state_dict(self.best)
        self.learner.eval()

    def _note_validation(self) -> None:
        score = self._validate()
        if score is not None:
            self.curve.append((self.step, sum(self.losses) / len(self.losses), score))
        self.losses.clear()

    def _progress(self, loss: float) -> Progress:
        validation = self.curve[-1][2] if self.curve else None
        episodes = self.step * self.config.tasks
        return Progress(self.step, self.config.steps, loss, validation, episodes, tuple(self.curve))

    def _advance(self) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.step, self.config)
        self.learner.train()
        loss = self._mean_loss()
        if not math.isfinite(loss):
            raise InvalidTask(f"the meta-loss became {loss} at step {self.step}; a lower rate or clip may help")
        nn.utils.clip_grad_norm_(self.learner.parameters(), self.config.clip)
        self.optimizer.step()
        self.ranks.level(self.learner.buffers())
        self.step += 1
        self._update_average()
        return loss

    def _mean_loss(self) -> float:
        self.optimizer.zero_grad()
        device = next(self.learner.parameters()).device
        total = 0.0
        for task in range(self.config.tasks):
            episode = self.source.draw(self.size, self.rng)  # by every process, so that all stay at the same numbers
            if self.ranks.mine(task):
                loss = self.learner.meta_loss(episode.to(device)) / self.config.tasks
                torch.autograd.backward(loss)
                total += loss.item()
        return self._added_up(total, device)

    def _added_up(self, loss: float, device: torch.device) -> float:
        """The loss of all processes; their gradients are added up in place."""
        if self.ranks.world == 1:
            return loss
        whole = torch.tensor([loss], device=device)
        parameters = list(self.learner.parameters())
        for parameter in parameters:
            if parameter.grad is None:  # a process may have no task of this step; all must send the same
                parameter.grad = torch.zeros_like(parameter)
        self.ranks.total([whole, *(parameter.grad for parameter in parameters if parameter.grad is not None)])
        return whole.item()

    @torch.no_grad()
    def _update_average(self) -> None:
        # a plain mean at first, so that the random start is forgotten quickly
        decay = min(self.config.average, self.step / (self.step + 10)) if self.config.average else 0.0
        current = self.learner.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1 - decay)
            else:
                value.copy_(current[name])

    def _validate(self) -> float | None:
        if self.validation is None:
            self.best = copy.deepcopy(self.average.state_dict())
            return None
        rng = torch.Generator().manual_seed(self.config.seed + 1)
        size = Size(ways=min(self.config.ways, 20), shots=self.config.shots, queries=self.config.queries)
        result = evaluate(self.average.eval(), self.validation, size, self.config.validation_tasks, rng)
        score = result.accuracy if result.accuracy is not None else -result.nll
        if score >= self.best_score:
            self.best_score = score
            self.best = copy.deepcopy(self.average.state_dict())
        return score

    def tensors(self) -> Tensors:
        """A checkpoint: weights, averages, the best so far, optimiser and generator."""
        moments = self.optimizer.state_dict()["state"]
        return {
            **_prefixed("learner", self.learner.state_dict()),
            **_prefixed("average", self.average.state_dict()),
            **_prefixed("best", self.best),
            **{f"optimizer.{i}.{name}": torch.as_tensor(v) for i, m in moments.items() for name, v in m.items()},
            "rng": self.rng.get_state(),
            "step": torch.tensor(self.step),
            "best_score": torch.tensor(self.best_score, dtype=torch.float64),
            "curve": torch.tensor(self.curve, dtype=torch.float64).reshape(-1, 3),
        }

    def restore(self, tensors: Tensors) -> None:
        """Continue from a checkpoint. Raises `CorruptArtifact` when it belongs to another training."""
        try:
            self.learner.load_state_dict(_under("learner", tensors))
            self.average.load_state_dict(_under("average", tensors))
            self.best = _under("best", tensors)
            self.rng.set_state(tensors["rng"])
            self.step = int(tensors["step"])
            self.best_score = float(tensors["best_score"])
            self.curve = [
                (int(step), loss, score) for step, loss, score in tensors.get("curve", torch.empty(0, 3)).tolist()
            ]
        except (KeyError, RuntimeError) as error:
            raise CorruptArtifact(f"the checkpoint does not fit this training: {error}") from None
        moments: dict[int, Tensors] = {}
        for key, value in _under("optimizer", tensors).items():
            index, name = key.split(".", 1)
            moments.setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})


def rate_at(step: int, config: TrainingConfig) -> float:
    """Learning rate of one step: linear warm-up, then half a cosine to zero."""
    if step < config.warm_up:
        return config.rate * (step + 1) / config.warm_up
    done = (step - config.warm_up) / max(1, config.steps - config.warm_up)
    return config.rate * 0.5 * (1 + math.cos(math.pi * done))


def _optimizer(learner: Learner, config: TrainingConfig) -> torch.optim.Optimizer:
    if config.optimizer == "sgd":
        return torch.optim.SGD(learner.parameters(), config.rate, momentum=0.9, weight_decay=config.weight_decay)
    cls = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return cls(learner.parameters(), config.rate, weight_decay=config.weight_decay)


def _prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(prefix + ".")}

"""Meta-training: one loop for every learner, with checkpoints that continue bit for bit on a CPU."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import half_precision
from meta_core.episodes import Size, TaskSource
from meta_core.errors import CorruptArtifact, InvalidTask
from meta_core.evaluation import evaluate
from meta_core.learner import Learner
from meta_core.optimisation import OptimiserConfig, build_optimizer, rate_at
from meta_core.ranks import Ranks
from meta_core.task_batches import shares_of_mean_loss

Tensors = dict[str, Tensor]


class TrainingConfig(OptimiserConfig):
    """How a learner is meta-trained."""

    steps: int = Field(2000, ge=1, le=10_000_000, description="optimiser steps")
    tasks: int = Field(1, ge=1, le=1024, description="tasks whose loss is averaged in one step")
    ways: int = Field(20, ge=2, le=1000, description="classes of a training task (classification)")
    shots: int = Field(1, ge=1, le=1000, description="support examples per class, or points of a regression task")
    fewest_shots: int = Field(
        0, ge=0, description="draw the shots of each step evenly from these to `shots`; 0: always `shots`"
    )
    queries: int = Field(5, ge=1, le=1000, description="queries per class, or points of a regression task")
    average: float = Field(0.998, ge=0, lt=1, description="decay of the running average of the weights; 0 keeps none")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the body's multiplications; bfloat16 is for a GPU. Weights and heads stay in float32"
    )
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

    `curve` holds a point for every validation so far; `episodes` counts the tasks that were learned from; `rate` is
    that of the last step, `seconds` are since this run began.
    """

    step: int
    total_steps: int
    loss: float
    validation: float | None
    episodes: int = 0
    curve: tuple[Point, ...] = ()
    rate: float = 0.0
    seconds: float = 0.0


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
        self.optimizer = build_optimizer(learner, config)

    def run(self, report: Callable[[Progress], None], checkpoints: Checkpoints | None = None) -> None:
        """Train to the end, from the last checkpoint if there is one, and leave the best weights in the learner.

        `report` is called after every step and may raise to stop the training.
        """
        checkpoints = checkpoints or NoCheckpoints()
        last = self.ranks.from_leader(checkpoints.load() if self.ranks.leads else None)
        if last is not None:
            self.restore(last)
        else:
            if self.validation is not None:  # too few examples are told of now, not hundreds of steps later
                self.validation.draw(self._graded_on(self.validation), torch.Generator())
            self.learner.begin(self.source, self.size, torch.Generator().manual_seed(self.config.seed + 2))
            self.average.load_state_dict(self.learner.state_dict())
            self.best = copy.deepcopy(self.learner.state_dict())
        started = time.monotonic()
        while self.step < self.config.steps:
            loss = self._advance()
            self.losses.append(loss)
            if self.ranks.leads and (self.step % self.config.validate_every == 0 or self.step == self.config.steps):
                self._note_validation()
                checkpoints.save(self.tensors())
            report(self._progress(loss, time.monotonic() - started))
        self.learner.load_state_dict(self.best)
        self.learner.eval()

    def _note_validation(self) -> None:
        score = self._validate()
        if score is not None:
            self.curve.append((self.step, sum(self.losses) / len(self.losses), score))
        self.losses.clear()

    def _progress(self, loss: float, seconds: float) -> Progress:
        return Progress(
            step=self.step,
            total_steps=self.config.steps,
            loss=loss,
            validation=self.curve[-1][2] if self.curve else None,
            episodes=self.step * self.config.tasks,
            curve=tuple(self.curve),
            rate=rate_at(self.step - 1, self.config.steps, self.config),
            seconds=seconds,
        )

    def _advance(self) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = group["pace"] * rate_at(self.step, self.config.steps, self.config)
        self.learner.train()
        self.learner.hear_progress(self.step / self.config.steps)
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
        total, size = 0.0, self._size()
        # drawn by every process, so that all stay at the same numbers
        drawn = self.source.draw_alike(size, self.config.tasks, self.rng)
        mine = [episode.to(device) for task, episode in enumerate(drawn) if self.ranks.mine(task)]
        with half_precision(self.learner.backbone, self.config.precision == "bfloat16"):
            for loss in shares_of_mean_loss(self.learner, mine, self.config.tasks):
                torch.autograd.backward(loss)
                total += loss.item()
        return self._added_up(total, device)

    def _added_up(self, loss: float, device: torch.device) -> float:
        """The loss of all processes; their gradients are added up in place."""
        if self.ranks.world == 1:
            return loss
        whole = torch.tensor([loss], device=device)
        parameters = [parameter for parameter in self.learner.parameters() if parameter.requires_grad]
        for parameter in parameters:
            if parameter.grad is None:  # a process may have no task of this step; all must send the same
                parameter.grad = torch.zeros_like(parameter)
        self.ranks.total([whole, *(parameter.grad for parameter in parameters if parameter.grad is not None)])
        return whole.item()

    def _size(self) -> Size:
        """That of the tasks of one step."""
        if not self.config.fewest_shots:
            return self.size
        low, high = sorted((self.config.fewest_shots, self.config.shots))
        shots = int(torch.randint(low, high + 1, (), generator=self.rng))
        return replace(self.size, shots=shots)

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
        size, tasks = self._graded_on(self.validation), self.config.validation_tasks
        result = evaluate(self.average.eval(), self.validation, size, tasks, rng)
        score = result.accuracy if result.accuracy is not None else -result.nll
        if score >= self.best_score:
            self.best_score = score
            self.best = copy.deepcopy(self.average.state_dict())
        return score

    def _graded_on(self, validation: TaskSource) -> Size:
        return validation.fitted(replace(self.size, ways=min(self.config.ways, 20)))

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


def _prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(prefix + ".")}

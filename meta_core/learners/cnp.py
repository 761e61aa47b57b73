"""Conditional neural processes."""

import functools
import itertools
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from meta_core.backbone import Backbone
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.learner import Learner, learners
from meta_core.types import Categorical, Gaussian, Prediction, State, Support, Task

SMALLEST_SCALE = 1e-3
"""Below this the targets of a support set say nothing of their scale, which is then taken as 1."""


class CNPConfig(Config):
    """Size of the two networks, and what is done with the scale of targets."""

    width: int = Field(128, ge=4, le=4096, json_schema_extra=MADE_WITH_THE_WEIGHTS)
    layers: int = Field(
        2, ge=1, le=16, description="hidden layers of each network", json_schema_extra=MADE_WITH_THE_WEIGHTS
    )
    targets: Literal["standardised", "scaled", "raw"] = Field(
        "standardised",
        description="made alike by mean and deviation of the support; by their root mean square; or not at all",
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
    )
    least_deviation: float = Field(
        0.1, gt=0, lt=1, description="smallest standard deviation of an answer, in units of the scaled targets"
    )


@learners.register("cnp")
class CNP(Learner):
    """A network reads each example, their mean is the task, another network answers (arXiv:1807.01613).

    Every target t of a regression, and every class c of a classification, is read by the same networks, so that any
    number of them works in any order (R is the width of the representation):

        regression      r_t = mean_n h(z_n, y_nt),      (μ_t, s_t) = g(z, r_t),  σ_t = 0.1 + 0.9 · softplus(s_t)
        classification  r_c = mean_{n: y_n = c} h(z_n),  logit_c = g(z, r_c)
    """

    Config = CNPConfig
    config: CNPConfig
    tasks = frozenset({"classification", "regression"})
    needs_meta_training = True
    batches_tasks = True

    def __init__(self, backbone: Backbone, config: CNPConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        regression = task == "regression"
        hidden = [config.width] * config.layers
        self.reader = Perceptron(
            (backbone.dimension, 1) if regression else (backbone.dimension,), [*hidden, config.width]
        )
        self.answerer = Perceptron((backbone.dimension, config.width), [*hidden, 2 if regression else 1])
        if not regression:  # what is added to every logit alike has no effect, and so no gradient
            self.answerer.last.register_parameter("bias", None)

    def adapt(self, support: Support) -> State:
        """Representations [T or C, R], and for regression the location and scale of the targets, each [T]."""
        if support.ways is not None:
            members = support.one_hot()  # [N, C]
            return {"representation": members.T @ self.reader(support.x) / members.sum(0)[:, None]}  # [C, R]
        location, scale = self._location_and_scale(support.y)
        y = ((support.y - location) / scale)[..., None]  # [N, T, 1]
        return {"representation": self.reader(support.x[:, None], y).mean(0), "location": location, "scale": scale}

    def predict(self, state: State, z: Tensor) -> Prediction:
        """Each query with each representation."""
        answer = self.answerer(z[:, None], state["representation"])  # [Q, T or C, 2 or 1]
        if self.task == "classification":
            return Categorical(answer.squeeze(-1).log_softmax(-1))
        mean, spread = answer.unbind(-1)  # [Q, T]
        least = self.config.least_deviation
        deviation = least + (1 - least) * F.softplus(spread)
        return Gaussian(state["location"] + state["scale"] * mean, (state["scale"] * deviation).square())

    def _location_and_scale(self, y: Tensor) -> tuple[Tensor, Tensor]:
        location = y.mean(0) if self.config.targets == "standardised" else torch.zeros_like(y[0])
        scale = (y - location).square().mean(0).sqrt()  # [T]
        known = (scale > SMALLEST_SCALE) & torch.tensor(self.config.targets != "raw")
        return location, torch.where(known, scale, torch.ones_like(scale))


class Perceptron(nn.Module):
    """Linear layers with SiLU between them: smooth, as most functions to be regressed are.

    Each input has a first layer of its own, so that a single target is not drowned by a wide embedding; what they
    yield is added, with broadcasting.
    """

    def __init__(self, inputs: tuple[int, ...], widths: list[int]) -> None:
        super().__init__()
        self.first = nn.ModuleList(nn.Linear(width, widths[0]) for width in inputs)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths[:-1]))
        self.last = nn.Linear(widths[-2], widths[-1])
        for layer in (*self.first, *self.hidden, self.last):  # PyTorch's own start lets the signal die with depth
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, *inputs: Tensor) -> Tensor:
        """[..., widths[-1]] from one tensor [..., width] for each input."""
        z = functools.reduce(torch.add, [layer(x) for layer, x in zip(self.first, inputs, strict=True)])
        for layer in self.hidden:
            z = layer(F.silu(z))
        last: Tensor = self.last(F.silu(z))
        return last

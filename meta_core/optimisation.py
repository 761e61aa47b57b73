"""How meta-parameters move: optimisers, their parameter groups, and the learning rate of each step."""

import math
from typing import Literal

import torch
from pydantic import Field

from meta_core.config import Config
from meta_core.learner import Learner


class OptimiserConfig(Config):
    """Optimiser and schedule."""

    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    rate: float = Field(1e-3, gt=0, le=10, description="peak learning rate")
    schedule: Literal["cosine", "step", "linear", "constant"] = Field(
        "cosine",
        description="how the rate falls: along half a cosine or a line to zero, by `decay` now and then, never",
    )
    decay: float = Field(0.5, gt=0, lt=1, description="factor of a `step` schedule")
    decay_every: int = Field(2000, ge=1, description="steps between the falls of a `step` schedule")
    warm_up: int = Field(0, ge=0, description="steps over which the rate rises to its peak")
    weight_decay: float = Field(1e-4, ge=0)
    clip: float = Field(10.0, gt=0, description="largest norm of the meta-gradient")


def rate_at(step: int, steps: int, config: OptimiserConfig) -> float:
    """Learning rate of one of `steps`: linear warm-up, then the schedule."""
    if step < config.warm_up:
        return config.rate * (step + 1) / config.warm_up
    since = step - config.warm_up
    done = since / max(1, steps - config.warm_up)
    factor = {
        "cosine": 0.5 * (1 + math.cos(math.pi * done)),
        "linear": 1 - done,
        "step": config.decay ** (since // config.decay_every),
        "constant": 1.0,
    }[config.schedule]
    return config.rate * factor


def build_optimizer(learner: Learner, config: OptimiserConfig) -> torch.optim.Optimizer:
    """An optimiser of all meta-parameters that are not frozen; each group says its `pace`, the factor of its rate."""
    special = learner.parameter_groups()
    apart = {id(parameter) for group in special for parameter in group.parameters}
    usual = [p for p in learner.parameters() if id(p) not in apart and p.requires_grad]
    groups = [{"params": usual, "pace": 1.0}]
    groups += [{"params": g.parameters, "pace": g.pace, "weight_decay": g.weight_decay} for g in special]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, config.rate, momentum=0.9, weight_decay=config.weight_decay)
    cls = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return cls(groups, config.rate, weight_decay=config.weight_decay)

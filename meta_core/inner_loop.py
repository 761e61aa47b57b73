"""Gradient descent within a task: what MAML and its kin share."""

import math
from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from meta_core.config import Config
from meta_core.types import Categorical, Gaussian, Prediction, State, Support, Task

FIRST_ORDER = "the inner gradients are taken as constants, which leaves out the second derivatives"


class InnerLoopConfig(Config):
    """How a task is descended."""

    steps: int = Field(5, ge=1, le=1000, description="gradient steps on the support")
    rate: float = Field(0.1, gt=0, le=100, description="learning rate of these steps")
    first_order: bool = Field(False, description="do not differentiate through the inner gradients when meta-training")


def descend(loss: Callable[[State], Tensor], start: State, config: InnerLoopConfig) -> State:
    """θ ← θ − rate · ∇loss(θ), `steps` times, from θ = start.

    Where gradients are enabled the result is differentiable: through the inner gradients too, unless `first_order`;
    always through the sum, so that θ′ is never cut off from its start.
    """
    differentiable = torch.is_grad_enabled()
    with torch.enable_grad():
        leaves = {name: _leaf(value, differentiable) for name, value in start.items()}
        for _ in range(config.steps):
            through = differentiable and not config.first_order
            values = list(leaves.values())
            slopes = torch.autograd.grad(loss(leaves), values, create_graph=through, materialize_grads=True)
            stepped = {name: leaves[name] - config.rate * g for name, g in zip(leaves, slopes, strict=True)}
            leaves = {name: _leaf(value, differentiable) for name, value in stepped.items()}
    return leaves if differentiable else {name: value.detach() for name, value in leaves.items()}


def _leaf(value: Tensor, differentiable: bool) -> Tensor:
    """The value as something to take a gradient by; cut from its past where that is of no use."""
    return value if differentiable and value.requires_grad else value.detach().requires_grad_()


class Head(nn.Module):
    """The linear head of a task, [T or C, D]; it starts from one vector shared by all targets or classes.

    So any number of them works, in any order (arXiv:2106.00245). What all classes share drops out of the softmax
    and of all its gradients: for classification the start is exactly equivalent to zero, which it therefore is. For
    regression it is meta-learned, with a bias and the variance of the answers.
    """

    def __init__(self, dimension: int, task: Task) -> None:
        super().__init__()
        self.dimension = dimension
        self.task = task
        if task == "regression":
            self.weight = nn.Parameter(torch.randn(dimension) / math.sqrt(dimension))
            self.bias = nn.Parameter(torch.zeros(()))
            self.log_variance = nn.Parameter(torch.zeros(()))

    def start(self, support: Support) -> State:
        """The leaves before the first step."""
        if support.ways is not None:
            zeros = torch.zeros(support.ways, self.dimension + 1).to(support.x)
            return {"head.weight": zeros[:, 1:], "head.bias": zeros[:, 0]}
        targets = support.y.shape[1]
        return {"head.weight": self.weight.expand(targets, -1), "head.bias": self.bias.expand(targets)}

    def loss(self, state: State, z: Tensor, y: Tensor) -> Tensor:
        """What the inner loop descends: cross-entropy, or mean squared error."""
        output = F.linear(z, state["head.weight"], state["head.bias"])  # [N, T or C]
        if self.task == "classification":
            return F.cross_entropy(output, y)
        return (output - y).square().sum(-1).mean()  # a sum over targets, so that none slows another down

    def answer(self, state: State, z: Tensor) -> Prediction:
        """Answers to embeddings [Q, D]."""
        output = F.linear(z, state["head.weight"], state["head.bias"])  # [Q, T or C]
        if self.task == "classification":
            return Categorical(output.log_softmax(-1))
        return Gaussian(output, self.log_variance.exp().expand_as(output))

"""Gradient descent within a task: what MAML and its kin share."""

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.nn import functional as F

from meta_core.backbone import Backbone
from meta_core.body_part import statistics
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.learner import Learner
from meta_core.mapped import mapped_over_tasks
from meta_core.types import Categorical, Gaussian, Prediction, State, Support, Task

FIRST_ORDER = "the inner gradients are taken as constants, which leaves out the second derivatives"


BODY = "backbone."

Rate = Callable[[int, str], Tensor | float]
"""The rate at one step of one leaf."""


class DescentConfig(Config):
    """How a task is descended."""

    steps: int = Field(5, ge=1, le=1000, description="gradient steps on the support")
    rate: float = Field(0.1, gt=0, le=100, description="learning rate of these steps")


class InnerLoopConfig(DescentConfig):
    """How a task is descended, and whether that is differentiated to the second order."""

    first_order: bool = Field(False, description="do not differentiate through the inner gradients when meta-training")


class HeadConfig(Config):
    """What the head of a task is given."""

    standardised: bool = Field(
        False,
        description="the head sees embeddings of mean 0 over the support, and of size √ways: so that one rate suits "
        "any body and any number of classes",
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
    )


class NetworkConfig(InnerLoopConfig, HeadConfig):
    """Steps of body and head, and what the head sees."""


def descend(
    loss: Callable[[State], Tensor],
    start: State,
    config: DescentConfig,
    rate: Rate | None = None,
    visit: Callable[[State], None] | None = None,
) -> State:
    """θ ← θ − rate · ∇loss(θ), `steps` times, from θ = start; `visit` sees θ after each of them.

    Where gradients are enabled the result is differentiable: through the inner gradients too, unless `first_order`;
    always through the sum, so that θ′ is never cut off from its start.
    """
    if mapped_over_tasks():
        return _descend_mapped(loss, start, config, rate, visit)
    differentiable = torch.is_grad_enabled()
    through = differentiable and not (isinstance(config, InnerLoopConfig) and config.first_order)
    with torch.enable_grad():
        # as views, so that a leaf computed from another, as a head from its body, is not differentiated through it
        leaves = {name: _leaf(value, differentiable).view_as(value) for name, value in start.items()}
        for step in range(config.steps):
            slopes = torch.autograd.grad(
                loss(leaves), list(leaves.values()), create_graph=through, materialize_grads=True
            )
            rates = [rate(step, name) if rate else config.rate for name in leaves]
            stepped = [value - r * g for value, r, g in zip(leaves.values(), rates, slopes, strict=True)]
            leaves = {name: _leaf(value, differentiable) for name, value in zip(leaves, stepped, strict=True)}
            if visit:
                visit(leaves)
    return leaves if differentiable else {name: value.detach() for name, value in leaves.items()}


def _descend_mapped(
    loss: Callable[[State], Tensor],
    start: State,
    config: DescentConfig,
    rate: Rate | None,
    visit: Callable[[State], None] | None,
) -> State:
    """The same by function transforms, the only gradients that `vmap` can map; second order costs no more here."""
    leaves = dict(start)
    first_order = isinstance(config, InnerLoopConfig) and config.first_order
    for step in range(config.steps):
        slopes = grad(loss)(leaves)
        if first_order:
            slopes = {name: slope.detach() for name, slope in slopes.items()}
        leaves = {n: value - (rate(step, n) if rate else config.rate) * slopes[n] for n, value in leaves.items()}
        if visit:
            visit(leaves)
    return leaves


def _leaf(value: Tensor, differentiable: bool) -> Tensor:
    """The value as something to take a gradient by; cut from its past where that is of no use."""
    return value if differentiable and value.requires_grad else value.detach().requires_grad_()


class Head(nn.Module):
    """The linear head of a task, [T or C, D]; it starts from one vector shared by all targets or classes.

    So any number of them works, in any order (arXiv:2106.00245). What all classes share drops out of the softmax
    and of all its gradients: for classification the start is exactly equivalent to zero, which it therefore is. For
    regression it is meta-learned, with a bias and the variance of the answers.

    Where it is standardised it sees x = √C · (z − μ) / ρ, with μ the mean embedding of the support and ρ the root mean
    square of the numbers of z − μ (C is 1 for regression): statistics of the support alone, kept in the state. What all
    embeddings share would else allow tiny rates only; and without the √C each of C classes, of which a mean over
    examples sees one C-th, would move the less the more there are.
    """

    def __init__(self, dimension: int, task: Task, standardised: bool = False) -> None:
        super().__init__()
        self.dimension = dimension
        self.task = task
        self.standardised = standardised
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

    def frame(self, state: State, z: Tensor) -> State:
        """What standardises embeddings as it does those of the support [N, D]: centre [D] and size, if anything."""
        if not self.standardised:
            return {}
        ways = len(state["head.bias"]) if self.task == "classification" else 1
        centre = z.mean(0)
        squared = (z - centre).square().mean()
        size = torch.where(squared > 0, squared, torch.ones_like(squared)).sqrt() / math.sqrt(ways)
        return {"head.centre": centre, "head.size": size}

    def loss(self, state: State, z: Tensor, y: Tensor) -> Tensor:
        """What the inner loop descends, given the support: cross-entropy, or mean squared error."""
        output = self._output(state | self.frame(state, z), z)  # [N, T or C]
        if self.task == "classification":
            return F.cross_entropy(output, y)
        return (output - y).square().sum(-1).mean()  # a sum over targets, so that none slows another down

    def answer(self, state: State, z: Tensor) -> Prediction:
        """Answers to embeddings [Q, D]."""
        output = self._output(state, z)  # [Q, T or C]
        if self.task == "classification":
            return Categorical(output.log_softmax(-1))
        return Gaussian(output, self.log_variance.exp().expand_as(output))

    def _output(self, state: State, z: Tensor) -> Tensor:
        if self.standardised:
            z = (z - state["head.centre"]) / state["head.size"]
        return F.linear(z, state["head.weight"], state["head.bias"])


def prototype_head(z: Tensor, support: Support) -> State:
    """The linear head that is the nearest class mean: W = 2c, b = −‖c‖² (arXiv:1903.03096, section 3.2)."""
    members = support.one_hot().to(z)  # [N, C]
    c = members.T @ z / members.sum(0)[:, None]  # [C, D]
    return {"head.weight": 2 * c, "head.bias": -c.square().sum(-1)}


class WholeNetwork(Learner):
    """A learner that moves body and head in each task; its state is all of the adapted weights."""

    Config: ClassVar[type[DescentConfig]] = InnerLoopConfig
    config: DescentConfig
    tasks = frozenset({"classification", "regression"})
    needs_meta_training = True
    adapts_body = True
    keeps_statistics = True
    batches_tasks = True
    most_left_out = 8

    def __init__(self, backbone: Backbone, config: DescentConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.head = Head(backbone.dimension, task, isinstance(config, HeadConfig) and config.standardised)
        if isinstance(config, InnerLoopConfig) and config.first_order:
            self.first_order = FIRST_ORDER

    def encode(self, x: Tensor) -> Tensor:
        """The inputs themselves: no part of the network is shared by tasks."""
        return x

    def adapt(self, support: Support) -> State:
        """Body and head after the inner steps."""
        return self.framed(self.descend(support), support)

    def predict(self, state: State, z: Tensor) -> Prediction:
        """The adapted network's answers to inputs [Q, *shape]."""
        return self.head.answer(state, self.embed(state, z))

    def body(self) -> State:
        """The body before the first step."""
        return {BODY + name: value for name, value in self.backbone.named_parameters()}

    def start(self, support: Support) -> State:
        """Body and head before the first step."""
        return self.body() | self.head.start(support)

    def rate(self, step: int, name: str) -> Tensor | float:
        """The rate at one step of one leaf."""
        return self.config.rate

    def descend(self, support: Support, visit: Callable[[State], None] | None = None) -> State:
        """The inner steps."""
        return descend(lambda leaves: self.loss(leaves, support), self.start(support), self.config, self.rate, visit)

    def framed(self, state: State, support: Support) -> State:
        """With what body and head normalise by, where that is the support."""
        if self.backbone.normalisation == "support":
            seen = statistics(self.backbone, _body(state), support.x)
            state = state | {BODY + name: value for name, value in seen.items()}
        return state | self.head.frame(state, self.embed(state, support.x)) if self.head.standardised else state

    def loss(self, state: State, support: Support) -> Tensor:
        """What the inner steps descend."""
        return self.head.loss(state, self.embed(state, support.x), support.y)

    def embed(self, state: State, x: Tensor) -> Tensor:
        """Embeddings [N, D] by an adapted body."""
        z: Tensor = functional_call(self.backbone, _body(state), (x,))
        return z  # [N, D]


def _body(state: State) -> State:
    return {name.removeprefix(BODY): value for name, value in state.items() if name.startswith(BODY)}

"""Low-rank adaptation of a frozen body."""

from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone
from meta_core.inner_loop import FIRST_ORDER, InnerLoopConfig, descend, prototype_head
from meta_core.learner import learners
from meta_core.learners.ridge import LEAST_VARIANCE, PENALTIES, UNTRIED_PENALTY, ridge, root_mean_square, with_constant
from meta_core.low_rank import LowRank, LowRankConfig
from meta_core.types import Categorical, Gaussian, Prediction, State, Support, Task

SMALLER = (0.1, 0.01, 0.001)
"""What the rate is multiplied by where the steps diverge; if they still do, the start is kept."""


class LoRAConfig(InnerLoopConfig, LowRankConfig):
    """How far the body moves, and where the head starts."""

    scale: float = Field(4.0, gt=0, le=1e3, description="inverse temperature of the class means the head starts from")


@learners.register("lora")
class LoRA(LowRank):
    """W + U V for each linear and convolutional layer, with U V of low rank (Hu et al., 2021, arXiv:2106.09685).

    A convolution counts as the matrix [O, I · k · k]. U starts at zero, V at the meta-parameter; both descend with a
    head that starts at the class means of embeddings centred and scaled by the support, logits −s ‖z − c‖², or at
    ridge regression onto standardised targets, whose leave-one-out error is the variance of the answers. The state is
    factors, head, centre and size. A body without such layers leaves the head alone to be fitted.

    The body's own weights stay (`adapts_body` is false): its embeddings serve other learners too. Running statistics
    are those it was trained with, of the unchanged layers, and are frozen in meta-training as well; changes are small
    enough for that to do.
    """

    Config = LoRAConfig
    config: LoRAConfig
    tasks = frozenset({"classification", "regression"})
    most_left_out = 8

    def __init__(self, backbone: Backbone, config: LoRAConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.first_order = FIRST_ORDER if config.first_order else ""

    def adapt(self, support: Support) -> State:
        """Factors and head after the inner steps."""
        z = self.embed({}, support.x)
        frame = {"centre": z.mean(0), "size": root_mean_square((z - z.mean(0)).norm(dim=-1, keepdim=True))}
        if support.ways is not None:
            means = prototype_head(framed(z, frame), support)
            head = {name: self.config.scale * value for name, value in means.items()}
            return self._descend(self.factors() | head, frame, support) | frame
        mean, deviation = support.y.mean(0), root_mean_square(support.y - support.y.mean(0))
        task = replace(support, y=(support.y - mean) / deviation)
        head, variance = ridge_head(framed(z, frame), task.y)
        state = self._descend(self.factors() | head, frame, task) | frame
        state["head.weight"] = state["head.weight"] * deviation[:, None]
        state["head.bias"] = state["head.bias"] * deviation + mean
        return state | {"variance": variance * deviation.square()}

    def predict(self, state: State, z: Tensor) -> Prediction:
        """The changed network's answers to what `encode` made of inputs."""
        answer = self._output(state, z)
        if self.task == "classification":
            return Categorical(answer.log_softmax(-1))
        return Gaussian(answer, state["variance"].expand_as(answer))

    def _descend(self, start: State, frame: State, support: Support) -> State:
        """The leaves after the inner steps, at the first of smaller and smaller rates that betters the support."""
        best = self._loss(start | frame, support).item()
        for shrunk in (1.0, *SMALLER):
            config = self.config.model_copy(update={"rate": self.config.rate * shrunk})
            leaves = descend(lambda leaves: self._loss(leaves | frame, support), start, config)
            if self._loss(leaves | frame, support).item() < best:
                return leaves
        return start

    def _output(self, state: State, x: Tensor) -> Tensor:
        return nn.functional.linear(framed(self.embed(state, x), state), state["head.weight"], state["head.bias"])

    def _loss(self, state: State, support: Support) -> Tensor:
        answer = self._output(state, support.x)
        if support.ways is not None:
            return nn.functional.cross_entropy(answer, support.y)
        return 0.5 * (answer - support.y).square().sum(-1).mean()


def ridge_head(z: Tensor, y: Tensor) -> tuple[State, Tensor]:
    """Ridge regression of standardised targets [N, T], and its squared error on the left out, [T]."""
    penalties = torch.tensor(PENALTIES if len(z) > 1 else (UNTRIED_PENALTY,)).to(z).double()
    fit = ridge(with_constant(z.double()), y.double(), penalties)
    squared = (y - fit.left_out).square().mean(1)  # [G, T]
    best = int(squared.sum(-1).argmin())
    variance = squared[best].clamp(min=LEAST_VARIANCE) if len(z) > 1 else torch.ones_like(squared[best])
    weight = fit.weight(fit.coordinates[best])  # [D + 1, T]
    head = {"head.weight": weight[:-1].T, "head.bias": weight[-1]}
    return {name: value.to(z) for name, value in head.items()}, variance.to(z)


def framed(z: Tensor, frame: State) -> Tensor:
    """Embeddings in the units of the support."""
    return (z - frame["centre"]) / frame["size"]

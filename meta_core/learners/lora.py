"""Low-rank adaptation of a frozen body."""

import math
from dataclasses import replace
from typing import Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone
from meta_core.body_part import before, finished, moving
from meta_core.config import MADE_WITH_THE_WEIGHTS
from meta_core.inner_loop import FIRST_ORDER, InnerLoopConfig, descend, prototype_head
from meta_core.learner import Learner, learners
from meta_core.learners.ridge import LEAST_VARIANCE, PENALTIES, UNTRIED_PENALTY, ridge, root_mean_square, with_constant
from meta_core.types import Categorical, Gaussian, Prediction, State, Support, Task

SMALLER = (0.1, 0.01, 0.001)
"""What the rate is multiplied by where the steps diverge; if they still do, the start is kept."""


class LoRAConfig(InnerLoopConfig):
    """How large the change of the body may be."""

    rank: int = Field(4, ge=1, le=256, description="of each layer's change", json_schema_extra=MADE_WITH_THE_WEIGHTS)
    body: Literal["last", "all"] = Field(
        "all",
        description="which layers change: those of the last block, what comes before being run once; or all",
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
    )
    scale: float = Field(4.0, gt=0, le=1e3, description="inverse temperature of the class means the head starts from")


@learners.register("lora")
class LoRA(Learner):
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
        names = set(moving(backbone, config.body))
        layers = (n for n, m in backbone.named_modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d))
        self.layers = [layer for layer in layers if f"{layer}.weight" in names]
        rng = torch.Generator().manual_seed(0)  # the same everywhere, as an untrained V is stored in no base model
        self.down = nn.ParameterList(self._random(layer, rng) for layer in self.layers)
        self.first_order = FIRST_ORDER if config.first_order else ""

    def train(self, mode: bool = True) -> Self:
        """Meta-train; the statistics of the body stay as they are."""
        super().train(mode)
        self.backbone.eval()
        return self

    def encode(self, x: Tensor) -> Tensor:
        """Inputs as far as no layer changes."""
        return before(self.backbone, self.config.body, x)

    def inference(self) -> Self:
        """As it is: the weights of each layer are changed one by one."""
        return self

    def adapt(self, support: Support) -> State:
        """Factors and head after the inner steps."""
        z = self._embed({}, support.x)
        frame = {"centre": z.mean(0), "size": root_mean_square((z - z.mean(0)).norm(dim=-1, keepdim=True))}
        if support.ways is not None:
            means = prototype_head(framed(z, frame), support)
            head = {name: self.config.scale * value for name, value in means.items()}
            return self._descend(self._factors() | head, frame, support) | frame
        mean, deviation = support.y.mean(0), root_mean_square(support.y - support.y.mean(0))
        task = replace(support, y=(support.y - mean) / deviation)
        head, variance = ridge_head(framed(z, frame), task.y)
        state = self._descend(self._factors() | head, frame, task) | frame
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

    def _random(self, layer: str, rng: torch.Generator) -> nn.Parameter:
        inputs = self.backbone.get_parameter(f"{layer}.weight")[0].numel()
        return nn.Parameter(torch.randn(self.config.rank, inputs, generator=rng) / math.sqrt(inputs))

    def _factors(self) -> State:
        """U [O, r] and V [r, I] of each layer before the first step."""
        ups = {layer: self.backbone.get_parameter(f"{layer}.weight") for layer in self.layers}
        zeros = {f"up.{n}": torch.zeros(len(w), self.config.rank).to(w) for n, w in ups.items()}
        return zeros | {f"down.{layer}": v for layer, v in zip(self.layers, self.down, strict=True)}

    def _embed(self, state: State, x: Tensor) -> Tensor:
        weights: State = {}
        for layer in self.layers if state else ():
            weight = self.backbone.get_parameter(f"{layer}.weight")
            weights[f"{layer}.weight"] = weight + (state[f"up.{layer}"] @ state[f"down.{layer}"]).view_as(weight)
        return finished(self.backbone, self.config.body, x, weights)  # [N, D]

    def _output(self, state: State, x: Tensor) -> Tensor:
        return nn.functional.linear(framed(self._embed(state, x), state), state["head.weight"], state["head.bias"])

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
    head = {"head.weight": fit.weight[best, :-1].T, "head.bias": fit.weight[best, -1]}
    return {name: value.to(z) for name, value in head.items()}, variance.to(z)


def framed(z: Tensor, frame: State) -> Tensor:
    """Embeddings in the units of the support."""
    return (z - frame["centre"]) / frame["size"]

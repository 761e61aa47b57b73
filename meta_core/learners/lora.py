"""Low-rank adaptation of a frozen body."""

import math
from typing import Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from meta_core.backbone import Backbone
from meta_core.config import MADE_WITH_THE_WEIGHTS
from meta_core.inner_loop import FIRST_ORDER, InnerLoopConfig, descend, prototype_head
from meta_core.learner import Learner, learners
from meta_core.learners.ridge import root_mean_square
from meta_core.types import Categorical, State, Support, Task

SMALLER = (0.1, 0.01, 0.001)
"""What the rate is multiplied by where the steps diverge; if they still do, the start is kept."""


class LoRAConfig(InnerLoopConfig):
    """How large the change of the body may be."""

    rank: int = Field(4, ge=1, le=256, description="of each layer's change", json_schema_extra=MADE_WITH_THE_WEIGHTS)
    scale: float = Field(4.0, gt=0, le=1e3, description="inverse temperature of the class means the head starts from")


@learners.register("lora")
class LoRA(Learner):
    """W + U V for each linear and convolutional layer, with U V of low rank (Hu et al., 2021, arXiv:2106.09685).

    A convolution counts as the matrix [O, I · k · k]. U starts at zero, V at the meta-parameter; both descend with a
    head that starts at the class means of embeddings centred and scaled by the support, logits −s ‖z − c‖². The state
    is factors, head, centre and size. A body without such layers leaves the head alone to be fitted.

    The body's own weights stay (`adapts_body` is false): its embeddings serve other learners too. Running statistics
    are those it was trained with, of the unchanged layers, and are frozen in meta-training as well; changes are small
    enough for that to do.
    """

    Config = LoRAConfig
    config: LoRAConfig
    most_left_out = 8

    def __init__(self, backbone: Backbone, config: LoRAConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.layers = [n for n, m in backbone.named_modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]
        rng = torch.Generator().manual_seed(0)  # the same everywhere, as an untrained V is stored in no base model
        self.down = nn.ParameterList(self._random(layer, rng) for layer in self.layers)
        self.first_order = FIRST_ORDER if config.first_order else ""

    def train(self, mode: bool = True) -> Self:
        """Meta-train; the statistics of the body stay as they are."""
        super().train(mode)
        self.backbone.eval()
        return self

    def encode(self, x: Tensor) -> Tensor:
        """The inputs themselves: every layer may change."""
        return x

    def inference(self) -> Self:
        """As it is: the weights of each layer are changed one by one."""
        return self

    def adapt(self, support: Support) -> State:
        """Factors and head after the inner steps."""
        z = self._embed({}, support.x)
        frame = {"centre": z.mean(0), "size": root_mean_square((z - z.mean(0)).norm(dim=-1, keepdim=True))}
        head = {name: self.config.scale * value for name, value in prototype_head(framed(z, frame), support).items()}
        return self._descend(self._factors() | head, frame, support) | frame

    def predict(self, state: State, z: Tensor) -> Categorical:
        """The changed network's answers to inputs [Q, *shape]."""
        return Categorical(self._logits(state, z).log_softmax(-1))

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
        z: Tensor = functional_call(self.backbone, weights, (x,))
        return z  # [N, D]

    def _logits(self, state: State, x: Tensor) -> Tensor:
        return nn.functional.linear(framed(self._embed(state, x), state), state["head.weight"], state["head.bias"])

    def _loss(self, state: State, support: Support) -> Tensor:
        return nn.functional.cross_entropy(self._logits(state, support.x), support.y)


def framed(z: Tensor, frame: State) -> Tensor:
    """Embeddings in the units of the support."""
    return (z - frame["centre"]) / frame["size"]

"""Bodies whose layers change by products of low rank: what `lora` and `setfit` share."""

import math
from typing import Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone
from meta_core.body_part import before, finished, moving
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.learner import Learner
from meta_core.types import State, Task


class LowRankConfig(Config):
    """How large the change of the body may be."""

    rank: int = Field(4, ge=1, le=256, description="of each layer's change", json_schema_extra=MADE_WITH_THE_WEIGHTS)
    body: Literal["last", "all"] = Field(
        "all",
        description="which layers change: those of the last block, what comes before being run once; or all",
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
    )


class LowRank(Learner):
    """W + U V for each linear and convolutional layer, with U [O, r] and V [r, I] (arXiv:2106.09685).

    A convolution counts as the matrix [O, I · k · k]. U starts at zero, V at the meta-parameter `down`.
    """

    config: LowRankConfig

    def __init__(self, backbone: Backbone, config: LowRankConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        names = set(moving(backbone, config.body))
        layers = (n for n, m in backbone.named_modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d))
        self.layers = [layer for layer in layers if f"{layer}.weight" in names]
        rng = torch.Generator().manual_seed(0)  # the same everywhere, as an untrained V is stored in no base model
        self.down = nn.ParameterList(self._random(layer, rng) for layer in self.layers)

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

    def factors(self) -> State:
        """U [O, r] and V [r, I] of each layer before the first step."""
        ups = {layer: self.backbone.get_parameter(f"{layer}.weight") for layer in self.layers}
        zeros = {f"up.{n}": torch.zeros(len(w), self.config.rank).to(w) for n, w in ups.items()}
        return zeros | {f"down.{layer}": v for layer, v in zip(self.layers, self.down, strict=True)}

    def embed(self, state: State, x: Tensor) -> Tensor:
        """Embeddings [N, D] of what `encode` made, by the body with the factors of a state; as it is without."""
        weights: State = {}
        for layer in self.layers if state else ():
            weight = self.backbone.get_parameter(f"{layer}.weight")
            weights[f"{layer}.weight"] = weight + (state[f"up.{layer}"] @ state[f"down.{layer}"]).view_as(weight)
        return finished(self.backbone, self.config.body, x, weights)  # [N, D]

    def _random(self, layer: str, rng: torch.Generator) -> nn.Parameter:
        inputs = self.backbone.get_parameter(f"{layer}.weight")[0].numel()
        return nn.Parameter(torch.randn(self.config.rank, inputs, generator=rng) / math.sqrt(inputs))

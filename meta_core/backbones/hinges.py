"""Inputs and their hinges, so that what is linear in them bends."""

import math

import torch
from pydantic import Field
from torch import Tensor

from meta_core.backbone import Backbone, Normalisation, backbones
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config


class HingesConfig(Config):
    """Where the lines bend, in the units of the inputs; table columns come standardised."""

    knots: tuple[float, ...] = Field(
        (-1.0, 0.0, 1.0), min_length=1, max_length=64, json_schema_extra=MADE_WITH_THE_WEIGHTS
    )


@backbones.register("hinges")
class Hinges(Backbone):
    """[x, max(0, x − k) for each knot k]: linear splines of each input (Friedman, 1991, MARS without products)."""

    Config = HingesConfig

    def __init__(self, shape: tuple[int, ...], config: HingesConfig) -> None:
        super().__init__(shape, config)
        self.dimension = math.prod(shape) * (1 + len(config.knots))
        self.knots: Tensor
        self.register_buffer("knots", torch.tensor(config.knots))

    @property
    def normalisation(self) -> Normalisation:
        """Nothing is normalised."""
        return "none"

    def forward(self, x: Tensor) -> Tensor:
        """[N, *shape] to [N, D · (1 + knots)]."""
        x = x.flatten(1)
        bent = (x[..., None] - self.knots).clamp(min=0)  # [N, D, knots]
        return torch.cat([x, bent.flatten(1)], -1)

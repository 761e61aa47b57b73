"""Fully connected network."""

import itertools
import math

from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone, Normalisation, backbones
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config


class MLPConfig(Config):
    """Width of the layers and how many there are."""

    width: int = Field(40, ge=1, le=4096, json_schema_extra=MADE_WITH_THE_WEIGHTS)
    layers: int = Field(2, ge=1, le=16, json_schema_extra=MADE_WITH_THE_WEIGHTS)


@backbones.register("mlp")
class MLP(Backbone):
    """`layers` times linear and ReLU; the body of the sinusoid benchmark has two of 40 (Finn et al., 2017)."""

    Config = MLPConfig
    linear = True

    def __init__(self, shape: tuple[int, ...], config: MLPConfig) -> None:
        super().__init__(shape, config)
        self.dimension = config.width
        widths = [math.prod(shape), *[config.width] * config.layers]
        pairs = itertools.pairwise(widths)
        self.layers = nn.Sequential(*[part for a, b in pairs for part in (nn.Linear(a, b), nn.ReLU())])

    @property
    def normalisation(self) -> Normalisation:
        """Nothing is normalised."""
        return "none"

    def forward(self, x: Tensor) -> Tensor:
        """[N, *shape] to [N, width]."""
        z: Tensor = self.layers(x.flatten(1))
        return z

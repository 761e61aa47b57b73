"""The inputs are the embedding."""

import math

from torch import Tensor

from meta_core.backbone import Backbone, Normalisation, backbones
from meta_core.config import Config


@backbones.register("identity")
class Identity(Backbone):
    """Flattens and returns its input: for tables, vectors and embeddings computed elsewhere."""

    linear = True

    def __init__(self, shape: tuple[int, ...], config: Config) -> None:
        super().__init__(shape, config)
        self.dimension = math.prod(shape)

    @property
    def normalisation(self) -> Normalisation:
        """Nothing is normalised."""
        return "none"

    def forward(self, x: Tensor) -> Tensor:
        """[N, *shape] to [N, D]."""
        return x.flatten(1)

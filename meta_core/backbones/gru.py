"""Gated recurrent network over a sequence."""

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone, Normalisation, backbones
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.errors import InvalidParameter


class GRUConfig(Config):
    """How wide and deep it is."""

    width: int = Field(64, ge=1, le=1024, json_schema_extra=MADE_WITH_THE_WEIGHTS)
    layers: int = Field(1, ge=1, le=8, json_schema_extra=MADE_WITH_THE_WEIGHTS)


@backbones.register("gru")
class GRU(Backbone):
    """A GRU (Cho et al., 2014, arXiv:1406.1078) from the first step to the last: its mean and its last output."""

    Config = GRUConfig

    def __init__(self, shape: tuple[int, ...], config: GRUConfig) -> None:
        super().__init__(shape, config)
        if len(shape) not in (1, 2):
            raise InvalidParameter(
                f"backbone gru takes sequences [channels, steps] or [steps]; inputs have shape {list(shape)}"
            )
        self.channels = shape[0] if len(shape) == 2 else 1
        self.dimension = 2 * config.width
        self.network = nn.GRU(self.channels, config.width, config.layers, batch_first=True)

    @property
    def normalisation(self) -> Normalisation:
        """Nothing is normalised."""
        return "none"

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, steps], or [N, steps] of one channel, to [N, 2 · width]."""
        sequence = x.reshape(len(x), self.channels, -1).transpose(1, 2)  # [N, steps, channels]
        outputs = self.network(sequence)[0]  # [N, steps, width]
        return torch.cat([outputs.mean(1), outputs[:, -1]], -1)

"""A body that looks at each image from several places."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from meta_core.backbone import Backbone, Normalisation, backbones, build_backbone
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.errors import InvalidParameter


class ViewsConfig(Config):
    """The body, and how far the image is moved."""

    backbone: str = Field("conv4", description="the body", json_schema_extra=MADE_WITH_THE_WEIGHTS)
    params: dict[str, Any] = Field(
        default_factory=dict, description="its parameters", json_schema_extra=MADE_WITH_THE_WEIGHTS
    )
    pixels: int = Field(2, ge=1, le=64, description="how far up, down, left and right the image is moved")


@backbones.register("views")
class Views(Backbone):
    """The mean embedding of an image as it is and moved up, down, left and right: five times the work of its body.

    Only answers are averaged: in meta-training each image is seen once, as it comes.
    """

    Config = ViewsConfig
    config: ViewsConfig

    def __init__(self, shape: tuple[int, ...], config: ViewsConfig, body: Backbone | None = None) -> None:
        super().__init__(shape, config)
        if len(shape) != 3 or config.backbone == self.name:
            raise InvalidParameter(f"backbone views takes images, for another body; inputs have shape {list(shape)}")
        self.body = body or build_backbone(config.backbone, shape, config.params)
        self.dimension = self.body.dimension

    @property
    def normalisation(self) -> Normalisation:
        """That of the body."""
        return self.body.normalisation

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, height, width] to [N, dimension of the body]."""
        if self.training:
            return self.body(x)
        z: Tensor = self.body(torch.cat(moved(x, self.config.pixels)))  # [5 · N, D]
        return z.view(5, len(x), -1).mean(0)

    def inference(self) -> Backbone:
        """With the body's own form for it."""
        return Views(self.shape, self.config, self.body.inference()).eval()


def moved(x: Tensor, pixels: int) -> list[Tensor]:
    """Images [N, C, H, W] as they are and moved by some pixels along each axis; zeros move in."""
    height, width = x.shape[-2:]
    wide = F.pad(x, [pixels] * 4)
    corners = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    return [wide[..., pixels * i : pixels * i + height, pixels * j : pixels * j + width] for i, j in corners]

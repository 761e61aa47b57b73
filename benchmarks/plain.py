"""Networks as people write them first: the form that ours are compared with."""

import torch
from torch import Tensor, nn

from meta_core.backbones.conv4 import Conv4


def plain_conv4(body: nn.Module) -> nn.Sequential:
    """The same weights in convolution, normalisation, ReLU and pooling, in the usual layout, as easyfsl has them."""
    assert isinstance(body, Conv4)
    layers = nn.Sequential()
    for convolution, norm in body.blocks:  # type: ignore[misc, union-attr]
        usual = nn.Conv2d(convolution.in_channels, convolution.out_channels, 3, padding=1)
        usual.weight = nn.Parameter(convolution.weight.detach().clone(memory_format=torch.contiguous_format))
        usual.bias = nn.Parameter(convolution.bias.detach().clone())
        layers.extend([usual, norm, nn.ReLU(), nn.MaxPool2d(2)])
    return layers.append(nn.Flatten()).eval()


class PlainProtoNet(nn.Module):
    """easyfsl's `PrototypicalNetworks`: the support processed, the queries answered by −‖z − μ‖²."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.backbone = body
        self.prototypes: Tensor = torch.empty(0)

    def process_support_set(self, images: Tensor, labels: Tensor) -> None:
        """Remember the class means."""
        features = self.backbone(images)
        ways = len(torch.unique(labels))
        self.prototypes = torch.cat([features[torch.nonzero(labels == label)].mean(0) for label in range(ways)])

    def forward(self, images: Tensor) -> Tensor:
        """Scores [Q, C]."""
        return -torch.cdist(self.backbone(images), self.prototypes)

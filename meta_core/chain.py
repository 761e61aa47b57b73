"""A convolutional body as a plain sequence of layers: the form that only answers."""

from collections.abc import Callable, Iterable, Iterator

from torch import Tensor, nn

from meta_core.backbone import Backbone, Normalisation
from meta_core.convolution import channels_last, folded


class Chain(Backbone):
    """The same map as a trained body: a sequence of convolutions, pools and ReLUs, and what is made of its maps."""

    normalisation: Normalisation = "none"

    def __init__(self, trained: Backbone, layers: Iterable[nn.Module], finish: Callable[[Tensor], Tensor]) -> None:
        super().__init__(trained.shape, trained.config)
        self.dimension = trained.dimension
        self.layers = nn.Sequential(*layers)
        self.finish = finish

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, D]."""
        return self.finish(self.layers(channels_last(x)))


def pooled_convolutions(blocks: Iterable[nn.Module], pools: Iterable[tuple[int, int]]) -> Iterator[nn.Module]:
    """The layers of blocks of convolution and batch normalisation, each pooled, then rectified."""
    for block, pool in zip(blocks, pools, strict=True):
        yield folded(*block.children())
        if pool != (1, 1):
            yield nn.MaxPool2d(pool)
        yield nn.ReLU(inplace=True)

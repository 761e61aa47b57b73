"""Random Gaussian mixtures: tasks whose classes are clouds of their own places and shapes."""

import torch
from pydantic import Field
from torch import Tensor

from meta_core.config import Config
from meta_core.dataset import Dataset, Split, datasets
from meta_core.episodes import Size, TaskSource
from meta_core.types import Episode, Support, Task


class MixturesConfig(Config):
    """How many numbers an input has, and how hard the classes are to tell apart."""

    dimension: int = Field(8, ge=1, le=1000)
    components: int = Field(2, ge=1, le=100, description="a class has from 1 to as many Gaussians")
    spread: float = Field(2.0, gt=0, description="standard deviation of the means; that of a Gaussian is about 1")


class MixtureSource(TaskSource):
    """Classes x ~ Σ_k π_k N(m_k, A_k A_kᵀ) with K ~ U{1…components}, π ~ Dirichlet(1), m ~ N(0, spread² I).

    A = D^−½ times a matrix of standard normals, D being the dimension, so that the variance of a number is about 1.
    """

    task: Task = "classification"

    def __init__(self, dimension: int, components: int, spread: float) -> None:
        self.shape = (dimension,)
        self.components = components
        self.spread = spread

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        """`shots` examples of each of `ways` mixtures to learn from, `queries` of each to be graded on."""
        x = torch.stack([self._class(size.shots + size.queries, rng) for _ in range(size.ways)])
        labels = torch.arange(size.ways)
        support = Support(x[:, : size.shots].flatten(0, 1), labels.repeat_interleave(size.shots), size.ways)
        return Episode(support, x[:, size.shots :].flatten(0, 1), labels.repeat_interleave(size.queries))

    def _class(self, n: int, rng: torch.Generator) -> Tensor:
        """Examples of one mixture, [n, D]."""
        d, k = self.shape[0], int(torch.randint(1, self.components + 1, (), generator=rng))
        weights = -torch.rand(k, generator=rng).clamp(min=1e-30).log()  # exponentials: a flat Dirichlet once normalised
        means = self.spread * torch.randn(k, d, generator=rng)
        factors = torch.randn(k, d, d, generator=rng) / d**0.5
        component = torch.multinomial(weights, n, replacement=True, generator=rng)  # [n]
        noise = torch.randn(n, d, 1, generator=rng)
        x: Tensor = means[component] + (factors[component] @ noise).squeeze(-1)
        return x


@datasets.register("mixtures")
class Mixtures(Dataset):
    """An endless supply of tasks: every split draws from the same distribution."""

    Config = MixturesConfig
    config: MixturesConfig
    modality = "vector"

    def example_shape(self) -> tuple[int, ...]:
        """As many numbers as configured."""
        return (self.config.dimension,)

    def source(self, split: Split, *, augmented: bool = False) -> MixtureSource:
        """Mixtures of the configured dimension."""
        return MixtureSource(self.config.dimension, self.config.components, self.config.spread)

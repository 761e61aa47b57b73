"""Random linear discriminants: the simplest tasks that tell two classes apart."""

import torch
from pydantic import Field

from meta_core.config import Config
from meta_core.dataset import Dataset, Split, datasets
from meta_core.episodes import Size, TaskSource
from meta_core.errors import InvalidTask
from meta_core.types import Episode, Support, Task

FARTHEST = 2.0
"""No threshold lies further from the middle than this many of its deviations, so that both sides are met soon."""


class DiscriminantsConfig(Config):
    """How many numbers an input has, and where the threshold lies."""

    dimension: int = Field(8, ge=1, le=1000)
    threshold: float = Field(0.5, ge=0, le=1, description="standard deviation of the threshold, in those of w·x")


class DiscriminantSource(TaskSource):
    """Tasks y = [w · x > t] with w ~ N(0, I), x ~ N(0, I) and t ~ N(0, threshold² · ‖w‖²): two classes."""

    task: Task = "classification"

    def __init__(self, dimension: int, threshold: float) -> None:
        self.shape = (dimension,)
        self.threshold = threshold

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        """`shots` examples of each side to learn from and `queries` of each to be graded on."""
        if size.ways != 2:
            raise InvalidTask(f"a discriminant tells 2 classes apart, not {size.ways}; set ways to 2")
        w = torch.randn(self.shape[0], generator=rng)
        t = self.threshold * w.norm() * torch.randn((), generator=rng).clamp(-FARTHEST, FARTHEST)
        sides = self._sides(w, t, size.shots + size.queries, rng)  # [2, shots + queries, D]
        labels = torch.arange(2)
        support = Support(sides[:, : size.shots].flatten(0, 1), labels.repeat_interleave(size.shots), 2)
        return Episode(support, sides[:, size.shots :].flatten(0, 1), labels.repeat_interleave(size.queries))

    def _sides(self, w: torch.Tensor, t: torch.Tensor, needed: int, rng: torch.Generator) -> torch.Tensor:
        """`needed` examples below and as many above the threshold."""
        found: list[torch.Tensor] = [torch.empty(0, len(w))] * 2
        while min(map(len, found)) < needed:
            x = torch.randn(4 * needed, len(w), generator=rng)
            above = x @ w > t
            found = [torch.cat([found[0], x[~above]]), torch.cat([found[1], x[above]])]
        return torch.stack([side[:needed] for side in found])


@datasets.register("discriminants")
class Discriminants(Dataset):
    """An endless supply of two-class tasks: every split draws from the same distribution."""

    Config = DiscriminantsConfig
    config: DiscriminantsConfig
    modality = "vector"

    def example_shape(self) -> tuple[int, ...]:
        """As many numbers as configured."""
        return (self.config.dimension,)

    def source(self, split: Split, *, augmented: bool = False) -> DiscriminantSource:
        """Discriminants of the configured dimension."""
        return DiscriminantSource(self.config.dimension, self.config.threshold)

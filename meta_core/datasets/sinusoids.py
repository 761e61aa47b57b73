"""Sinusoids: the regression tasks on which few-shot learners are compared."""

import math

import torch
from pydantic import Field
from torch import Tensor

from meta_core.config import Config
from meta_core.dataset import Dataset, Split, datasets
from meta_core.episodes import Size, TaskSource
from meta_core.types import Episode, Support, Task


class SinusoidsConfig(Config):
    """What training tasks are like; validation and test always have one curve and `shots` points."""

    fewest_shots: int | None = Field(
        None, ge=1, le=1000, description="draw the points of a training task from here to `shots`; null: always `shots`"
    )
    curves: int = Field(
        1, ge=1, le=1024, description="sinusoids of a training task, each a target of its own at the same points"
    )


class SinusoidSource(TaskSource):
    """Tasks y = A·sin(x − φ) with A ~ U[0.1, 5], φ ~ U[0, π] and x ~ U[−5, 5] (Finn et al., 2017, arXiv:1703.03400)."""

    task: Task = "regression"
    shape = (1,)

    def __init__(self, fewest_shots: int | None = None, curves: int = 1) -> None:
        self.fewest_shots = fewest_shots
        self.curves = curves

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        """`shots` points to learn from and `queries` to be graded on."""
        n = self._shots(size.shots, rng)
        amplitude, phase = uniform(self.curves, 0.1, 5.0, rng), uniform(self.curves, 0.0, math.pi, rng)  # [T]
        x = uniform(n + size.queries, -5.0, 5.0, rng)[:, None]  # [n + queries, 1]
        y = amplitude * torch.sin(x - phase)  # [n + queries, T]
        return Episode(Support(x[:n], y[:n], None), x[n:], y[n:])

    def _shots(self, most: int, rng: torch.Generator) -> int:
        fewest = min(self.fewest_shots or most, most)
        return int(torch.randint(fewest, most + 1, (), generator=rng))


@datasets.register("sinusoids")
class Sinusoids(Dataset):
    """An endless supply of tasks, so that no two are ever the same: every split draws from the same distribution."""

    Config = SinusoidsConfig
    config: SinusoidsConfig
    modality = "vector"

    def task(self) -> Task:
        """Regression."""
        return "regression"

    def example_shape(self) -> tuple[int, ...]:
        """One number."""
        return (1,)

    def source(self, split: Split, *, augmented: bool = False) -> SinusoidSource:
        """Sinusoids, as configured where they are trained on."""
        return SinusoidSource(self.config.fewest_shots, self.config.curves) if "train" in split else SinusoidSource()


def uniform(n: int, low: float, high: float, rng: torch.Generator) -> Tensor:
    """`n` values drawn uniformly from [low, high), [n]."""
    return low + (high - low) * torch.rand(n, generator=rng)

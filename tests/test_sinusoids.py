import math
from pathlib import Path

import torch
from torch import Tensor
from torch.testing import assert_close

from meta_core.dataset import build_dataset
from meta_core.datasets.sinusoids import SinusoidSource
from meta_core.episodes import Size
from meta_core.types import Episode

NOWHERE = Path("/nonexistent")


def drawn(source: SinusoidSource, size: Size, tasks: int) -> list[Episode]:
    rng = torch.Generator().manual_seed(0)
    return [source.draw(size, rng) for _ in range(tasks)]


def amplitude_and_phase(episode: Episode) -> tuple[Tensor, Tensor]:
    """Of each curve, by least squares on a·sin x + b·cos x; fails if that is not what the points are."""
    x, y = torch.cat([episode.support.x, episode.x]).double(), torch.cat([episode.support.y, episode.y]).double()
    waves = torch.cat([x.sin(), x.cos()], -1)
    a, b = (solution := torch.linalg.lstsq(waves, y).solution)
    assert_close(waves @ solution, y, rtol=0, atol=1e-5)
    return torch.hypot(a, b), torch.atan2(-b, a)


def test_tasks_are_the_published_sinusoids() -> None:
    episodes = drawn(SinusoidSource(), Size(shots=5, queries=20), 1000)
    amplitude, phase = (torch.cat(values) for values in zip(*map(amplitude_and_phase, episodes), strict=True))
    x = torch.cat([e.x for e in episodes])
    for values, low, high in ((amplitude, 0.1, 5.0), (phase, 0.0, math.pi), (x, -5.0, 5.0)):
        assert low - 1e-4 <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high + 1e-4
        assert abs(values.mean() - (low + high) / 2) < 0.05 * (high - low)


def test_only_training_tasks_vary_in_points_and_curves() -> None:
    sinusoids = build_dataset("sinusoids", NOWHERE, {"fewest_shots": 3, "curves": 4})
    size = Size(shots=6, queries=2)
    training = drawn(sinusoids.source("train"), size, 200)
    assert {len(e.support) for e in training} == {3, 4, 5, 6}
    assert {e.y.shape for e in training} == {(2, 4)}
    for split in ("validation", "test"):
        assert {tuple(e.support.y.shape) for e in drawn(sinusoids.source(split), size, 20)} == {(6, 1)}


def test_the_curves_of_a_task_are_different_sinusoids() -> None:
    amplitude, _ = amplitude_and_phase(drawn(SinusoidSource(curves=8), Size(shots=5, queries=5), 1)[0])
    assert len(amplitude.unique()) == 8


def test_a_seed_decides_the_task() -> None:
    (first,), (second,) = (drawn(SinusoidSource(2), Size(shots=5), 1) for _ in range(2))
    assert torch.equal(first.support.x, second.support.x)
    assert torch.equal(first.y, second.y)

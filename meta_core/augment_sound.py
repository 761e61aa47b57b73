"""Random changes of training spectrograms: other voices, microphones, rooms and tempi."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from meta_core.spectrogram import RANGE


def other_voice(x: Tensor, rng: torch.Generator) -> Tensor:
    """Spectrograms [N, 1, bands, frames] of one task (log-mel, 0–1) as another voice over another microphone.

    What makes the voice – how far its frequencies are stretched, how the microphone colours them – is drawn once for
    all N, since a task has one speaker. Each example differs from the others in tempo, place and pitch, in noise
    (−65 to −25 dB, half of them), and in a masked band and stretch (SpecAugment, arXiv:1904.08779, half of them).
    """
    n = len(x)
    voice = _uniform(1, 0.2, rng) + _uniform(n, 0.05, rng)  # [N] logarithms of the stretch of frequencies
    x = _stretched(x, voice, _uniform(n, 0.2, rng), _uniform(n, 0.2, rng))
    return _masked(_noisy(_coloured(x, rng), rng), rng)


def _stretched(x: Tensor, pitch: Tensor, tempo: Tensor, shift: Tensor) -> Tensor:
    """Frequencies stretched from the lowest on, time from the middle on; outside is silence."""
    zero = torch.zeros_like(pitch)
    scale = pitch.exp()
    across = torch.stack([tempo.exp(), zero, shift], 1)
    down = torch.stack([zero, scale, scale - 1], 1)  # the lowest band, at −1, stays
    grid = F.affine_grid(torch.stack([across, down], 1).to(x), list(x.shape), align_corners=False)  # [N, M, T, 2]
    return F.grid_sample(x, grid, align_corners=False)


def _coloured(x: Tensor, rng: torch.Generator) -> Tensor:
    """One smooth curve of up to some ±12 dB over the bands, for all."""
    bands = torch.linspace(0, 1, x.shape[2])
    waves = torch.stack([(math.pi * k * bands).cos() for k in (1, 2, 3)])  # [3, M]
    curve = (_uniform(3, 6 / RANGE, rng) @ waves)[:, None]  # [M, 1]
    louder = x + curve * (x > 0)
    return (louder + 1 - louder.amax((2, 3), keepdim=True)).clamp(min=0) * (x > 0)


def _noisy(x: Tensor, rng: torch.Generator) -> Tensor:
    """Noise of a random level and tilt added in power, to every other example."""
    n, bands = len(x), torch.linspace(-1, 1, x.shape[2])
    level = -45 + _uniform(n, 20, rng)[:, None] + _uniform(n, 10, rng)[:, None] * bands  # [N, M] in decibels
    ripple = 5 * torch.randn(x.shape, generator=rng)
    noise = level[:, None, :, None] + ripple - 1e3 * (torch.rand(n, generator=rng) < 0.5)[:, None, None, None]
    to_log = math.log(10) / 10
    mixed = torch.logaddexp((x - 1) * RANGE * to_log, noise * to_log) / to_log
    return (mixed / RANGE + 1).clamp(0, 1)


def _masked(x: Tensor, rng: torch.Generator) -> Tensor:
    """A random band and a random stretch, each up to a sixth, silent in every other example."""
    n, _, bands, frames = x.shape
    keep = torch.ones_like(x, dtype=torch.bool)
    for axis, size in ((2, bands), (3, frames)):
        width = torch.rand(n, generator=rng) * size / 6 * (torch.rand(n, generator=rng) < 0.5)
        start = torch.rand(n, generator=rng) * (size - width)
        place = torch.arange(size)
        hidden = (place >= start[:, None]) & (place < (start + width)[:, None])  # [N, size]
        keep &= ~(hidden[:, None, :, None] if axis == 2 else hidden[:, None, None, :])
    return x * keep


def _uniform(n: int, most: float, rng: torch.Generator) -> Tensor:
    return (torch.rand(n, generator=rng) * 2 - 1) * most

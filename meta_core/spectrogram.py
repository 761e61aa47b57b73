"""Log-mel spectrograms: what a recording sounds like, over time."""

import functools
import math

import torch
from torch import Tensor

RANGE = 80.0
"""Decibels from the loudest to what counts as silence."""


def log_mel(wave: Tensor, *, rate: int, mels: int, window: int, hop: int) -> Tensor:
    """Power of [T] samples in `mels` bands, in decibels from −80 to 0 below the loudest, scaled to 0…1: [mels, frames].

    Hann windows of `window` samples every `hop`, centred; frames = 1 + ⌊T / hop⌋. Volume changes nothing.
    """
    size = _fft_size(window)
    spectrum = torch.stft(
        wave,
        size,
        hop,
        window,
        torch.hann_window(window, device=wave.device),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )  # [size / 2 + 1, frames]
    power = mel_bands(rate, mels, size).to(wave) @ spectrum.abs().square()
    decibels = 10 * (power / power.max().clamp(min=1e-20)).clamp(min=10 ** (-RANGE / 10)).log10()
    return decibels / RANGE + 1


@functools.lru_cache(maxsize=8)
def mel_bands(rate: int, mels: int, size: int) -> Tensor:
    """Triangles that overlap by half, even on the mel scale 2595·log₁₀(1 + f/700): [mels, size / 2 + 1]."""
    top = 2595 * math.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (torch.linspace(0, top, mels + 2, dtype=torch.float64) / 2595) - 1)
    low, centre, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    f = torch.linspace(0, rate / 2, size // 2 + 1, dtype=torch.float64)
    rising, falling = (f - low) / (centre - low), (high - f) / (high - centre)
    return torch.minimum(rising, falling).clamp(min=0).float()


def _fft_size(window: int) -> int:
    """Twice the next power of two, so that the narrowest band still holds a frequency."""
    return int(2 ** (math.ceil(math.log2(window)) + 1))

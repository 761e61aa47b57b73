"""Recordings made by arithmetic."""

import io

import numpy as np
import numpy.typing as npt
import soundfile

Samples = npt.NDArray[np.float64]


def tone(pitch: float, seconds: float = 0.5, rate: int = 16_000, loudness: float = 0.5) -> Samples:
    """A sine of so many hertz."""
    return loudness * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)


def wav(samples: Samples, rate: int = 16_000, format: str = "WAV", subtype: str | None = None) -> bytes:
    """A sound file of [T] or [T, channels] samples."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format, subtype=subtype)
    return buffer.getvalue()

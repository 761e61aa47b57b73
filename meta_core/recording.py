"""Recordings: sound files to one channel at one sample rate, and the part of them that matters."""

import importlib
import io
from types import ModuleType

import numpy as np
import numpy.typing as npt

from meta_core.errors import InvalidParameter
from meta_core.limits import Limits

FORMATS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3")
LOWEST_RATE, HIGHEST_RATE = 1_000, 384_000
MOST_CHANNELS = 32
QUIET = 0.01
"""Amplitude, relative to the loudest 10 ms, under which the start and the end of a recording are silence (−40 dB)."""
Wave = npt.NDArray[np.float32]


class Unreadable(ValueError):
    """One recording that cannot be read; the message is for whoever sent it."""


def decode(content: bytes, rate: int, limits: Limits) -> tuple[Wave, int]:
    """One channel [T] of a WAV, FLAC, OGG or MP3 file, resampled to `rate`, and how many samples it was made from.

    Nothing is decoded before its header was checked, and never more than the limits allow, whatever the header says.
    Raises `Unreadable`, and `InvalidParameter` where the packages for it are not installed.
    """
    soundfile, soxr = _package("soundfile"), _package("soxr")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            _check_header(file, limits)
            most = min(int(limits.max_seconds * file.samplerate), limits.max_samples // file.channels)
            samples = file.read(most + 1, dtype="float32", always_2d=True)  # [T, channels]
            found = file.samplerate
    except soundfile.LibsndfileError as error:
        raise Unreadable(f"not a readable recording ({error.error_string}); the formats are {_formats()}") from None
    if len(samples) > most:
        raise Unreadable(f"the recording is longer than {most / found:g} s (settings max_seconds and max_samples)")
    if not len(samples):
        raise Unreadable("the recording is empty")
    if not np.isfinite(samples).all():
        raise Unreadable("the recording holds NaN or infinity")
    wave: Wave = np.ascontiguousarray(samples.mean(1, dtype=np.float32))
    return (wave if found == rate else soxr.resample(wave, found, rate)), samples.size


def focus(wave: Wave, rate: int, length: int) -> Wave:
    """The `length` samples that matter of a recording.

    Silence at both ends is dropped; what is shorter is centred, of what is longer the loudest stretch is taken. Raises
    `Unreadable` when there is only silence.
    """
    step = max(1, rate // 100)
    loudness = np.sqrt(np.add.reduceat(np.square(wave, dtype=np.float64), np.arange(0, len(wave), step)) / step)
    loudest = loudness.max()
    if loudest < 1e-6:
        raise Unreadable("the recording is silent")
    (sounding,) = np.nonzero(loudness > QUIET * loudest)
    wave = wave[sounding[0] * step : (sounding[-1] + 1) * step]
    if len(wave) <= length:
        before = (length - len(wave)) // 2
        return np.pad(wave, (before, length - len(wave) - before))
    energy = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    start = int(np.argmax(energy[length:] - energy[:-length]))
    return wave[start : start + length]


def _check_header(file: "soundfile.SoundFile", limits: Limits) -> None:  # type: ignore[name-defined] # noqa: F821
    if file.format not in FORMATS:
        raise Unreadable(f"the formats are {_formats()}; found {file.format}")
    if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
        raise Unreadable(f"a recording has {LOWEST_RATE}–{HIGHEST_RATE} samples a second; found {file.samplerate}")
    if not 0 < file.channels <= MOST_CHANNELS:
        raise Unreadable(f"a recording has 1–{MOST_CHANNELS} channels; found {file.channels}")
    seconds = file.frames / file.samplerate
    if seconds > limits.max_seconds:
        raise Unreadable(f"the recording takes {seconds:.1f} s; at most {limits.max_seconds} (setting max_seconds)")
    if file.frames * file.channels > limits.max_samples:
        counted = f"{file.frames} × {file.channels} samples"
        raise Unreadable(f"the recording has {counted}; at most {limits.max_samples} are taken (setting max_samples)")


def _formats() -> str:
    return ", ".join(name for name in FORMATS if name != "WAVEX")


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        needed = f"{name}, which is not installed here: pip install 'shotput[audio]'"
        raise InvalidParameter(f"modality audio needs {needed}") from None

"""Audio: recordings of one word, call or noise, as log-mel spectrograms."""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from meta_core.base64_text import decode_base64
from meta_core.config import Config
from meta_core.errors import InvalidExample, shown
from meta_core.modality import Description, Modality, Shape, modalities
from meta_core.recording import Unreadable, Wave, decode, focus
from meta_core.spectrogram import log_mel


class AudioConfig(Config):
    """How recordings are made alike before the backbone sees them."""

    rate: int = Field(16_000, ge=4_000, le=48_000, description="samples a second after resampling")
    seconds: float = Field(1.0, gt=0.05, le=60, description="the window: longer recordings are cut to their loudest")
    mels: int = Field(40, ge=8, le=256, description="frequency bands")
    window: float = Field(0.032, ge=0.005, le=0.5, description="seconds that one frame looks at")
    hop: float = Field(0.016, ge=0.002, le=0.5, description="seconds from one frame to the next")


@modalities.register("audio")
class AudioModality(Modality):
    """WAV, FLAC, OGG or MP3 files: as base64 strings or data URLs, or as raw bytes.

    Channels are averaged, the rate is converted, silence at both ends is dropped, and what is left is centred in the
    window, or cut to the loudest stretch where it is longer. Volume changes nothing.
    """

    Config = AudioConfig
    config: AudioConfig
    backbone = "spectrogram-conv"
    example = "data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEA..."

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one recording: 1, mels, frames."""
        length, _, hop = self._samples()
        return (1, self.config.mels, 1 + length // hop)

    def shape_like(self, usual: Shape) -> Shape:
        """As configured."""
        return self.shape

    def describe(self, inputs: Sequence[Any]) -> Description:
        """Nothing: the preprocessing is the base model's own."""
        return {}

    def read(self, inputs: Sequence[Any], description: Description) -> Tensor:
        """Spectrograms [N, 1, mels, frames], values 0–1. Raises `LimitExceeded` for too many samples in all."""
        spectrograms, total = [], 0
        for index, value in enumerate(inputs):
            try:
                wave, samples = self._wave(value)
            except ValueError as error:
                raise InvalidExample(index, str(error)) from None
            total += samples
            self.limits.check("samples in all recordings", total, "max_total_samples")
            spectrograms.append(self._spectrogram(wave))
        return torch.stack(spectrograms)[:, None]

    def _wave(self, value: Any) -> tuple[Wave, int]:
        """The window of one recording, and how many samples were decoded for it."""
        if isinstance(value, str):
            value = decode_base64(value, "audio")
        if not isinstance(value, bytes):
            raise Unreadable(f"a recording is a base64 string or a data URL of a sound file; found {shown(value)}")
        wave, samples = decode(value, self.config.rate, self.limits)
        return focus(wave, self.config.rate, self._samples()[0]), samples

    def _spectrogram(self, wave: Wave) -> Tensor:
        _, window, hop = self._samples()
        return log_mel(torch.from_numpy(wave), rate=self.config.rate, mels=self.config.mels, window=window, hop=hop)

    def _samples(self) -> tuple[int, int, int]:
        """Of the whole, of one frame, and from one frame to the next."""
        whole, window, hop = (
            max(1, round(seconds * self.config.rate))
            for seconds in (self.config.seconds, self.config.window, self.config.hop)
        )
        return whole, window, hop

"""Recordings of every format, rate and length, and files that are none."""

import base64
import struct
import sys
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import stft

from meta_core.errors import InvalidExample, InvalidParameter, LimitExceeded
from meta_core.limits import Limits
from meta_core.modality import Modality, build_modality
from meta_core.recording import focus
from meta_core.spectrogram import log_mel, mel_bands
from tests.tones import tone, wav


def reader(limits: Limits | None = None, **config: Any) -> Modality:
    return build_modality("audio", config, limits)


def loudest_band(x: torch.Tensor) -> int:
    return int(x[0].mean(-1).argmax())


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_formats_give_the_same_spectrogram(format: str) -> None:
    plain, packed = reader().read([wav(tone(440)), wav(tone(440), format=format)], {})
    assert plain.shape == packed.shape == (1, 40, 63)
    assert loudest_band(plain) == loudest_band(packed)
    loud = plain > 0.7
    torch.testing.assert_close(packed[loud], plain[loud], atol=0.08, rtol=0)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_the_rate_of_the_file_does_not_matter(rate: int) -> None:
    here, there = reader().read([wav(tone(440)), wav(tone(440, rate=rate), rate)], {})
    loud = here[:, :, 10:-10] > 0.7
    torch.testing.assert_close(there[:, :, 10:-10][loud], here[:, :, 10:-10][loud], atol=0.05, rtol=0)


def test_what_is_above_half_the_rate_is_not_heard_as_something_lower() -> None:
    x = reader(rate=8_000).read([wav(tone(300, rate=48_000) + tone(7_000, rate=48_000), 48_000)], {})[0]
    assert loudest_band(x) == loudest_band(reader(rate=8_000).read([wav(tone(300))], {})[0])
    assert x[0, loudest_band(x) + 5 :, 20:-20].max() < 0.4  # 48 dB below


def test_base64_data_url_and_bytes_are_the_same_recording() -> None:
    content = wav(tone(440))
    text = base64.b64encode(content).decode()
    x = reader().read([content, text, f"data:audio/wav;base64,{text}"], {})
    assert torch.equal(x[0], x[1])
    assert torch.equal(x[0], x[2])


def test_volume_silence_around_it_and_a_second_channel_change_nothing() -> None:
    silence = np.zeros(8_000)
    spoken = tone(440) * np.hanning(8_000)
    changed = np.concatenate([silence, spoken / 10, silence])
    x = reader().read([wav(spoken, subtype="FLOAT"), wav(np.stack([changed] * 2, 1), subtype="FLOAT")], {})
    torch.testing.assert_close(x[1], x[0], atol=0.02, rtol=0)


def test_of_a_long_recording_the_loudest_part_is_heard() -> None:
    long = np.concatenate([tone(200, 3, loudness=0.1), tone(900, 1), tone(200, 3, loudness=0.1)])
    x = reader().read([wav(long), wav(tone(900, 1))], {})
    torch.testing.assert_close(x[0, :, :, 2:-2], x[1, :, :, 2:-2], atol=0.3, rtol=0)
    assert loudest_band(x[0]) == loudest_band(x[1])


def test_a_short_recording_lies_in_the_middle() -> None:
    assert focus(np.ones(4, np.float32), 100, 10).tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]


def test_the_spectrogram_is_that_of_scipy() -> None:
    wave = np.random.default_rng(0).normal(size=8_000).astype(np.float32)
    ours = log_mel(torch.from_numpy(wave), rate=8_000, mels=20, window=256, hop=128)
    spectrum = stft(wave, 8_000, "hann", 256, 128, 512, boundary="zeros", padded=False)[2]
    power = mel_bands(8_000, 20, 512).numpy() @ np.abs(spectrum) ** 2
    theirs = 10 * np.log10(power / power.max())
    inside = slice(4, -4)  # the two pad the ends differently
    np.testing.assert_allclose(80 * (ours.numpy()[:, inside] - 1), theirs[:, inside], atol=0.3)


def test_bands_are_even_on_the_mel_scale_and_overlap_by_half() -> None:
    bands = mel_bands(8_000, 20, 4096)
    top = 2595 * np.log10(1 + 4_000 / 700)
    centres = 700 * (10 ** (top * np.arange(1, 21) / 21 / 2595) - 1)
    np.testing.assert_allclose(bands.argmax(-1) * 8_000 / 4096, centres, atol=2)
    between = slice(int(bands[0].argmax()), int(bands[-1].argmax()))
    torch.testing.assert_close(bands.sum(0)[between], torch.ones(between.stop - between.start), atol=1e-3, rtol=0)


def lying_wav() -> bytes:
    """A header that promises gigabytes, and nothing behind it."""
    content = bytearray(wav(tone(440)))
    content[4:8] = content[40:44] = struct.pack("<I", 0xFFFFFFF0)
    return bytes(content)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"", "not a readable recording"),
        (b"RIFF", "not a readable recording"),
        (b"%PDF-1.4", "not a readable recording"),
        (wav(tone(440), format="AIFF"), "found AIFF"),
        (wav(tone(440), format="FLAC")[:60], "readable|empty"),
        (wav(np.zeros(0)), "empty"),
        (wav(np.zeros(8_000)), "silent"),
        (wav(np.full(800, np.nan), subtype="FLOAT"), "NaN"),
        (wav(tone(440), 500), "samples a second"),
        (wav(np.zeros((10, 33))), "channels"),
        ("not base64!", "base64"),
        ("data:audio/wav,plain", "data URL"),
        ([0.1, 0.2], "sound file"),
    ],
)
def test_what_is_no_recording_says_why(value: Any, words: str) -> None:
    with pytest.raises(InvalidExample, match=words) as caught:
        reader().read([wav(tone(440)), value], {})
    assert caught.value.index == 1


def test_a_header_that_promises_more_than_there_is_costs_nothing() -> None:
    x = reader(Limits(max_seconds=600)).read([lying_wav(), wav(tone(440))], {})
    torch.testing.assert_close(x[0], x[1])


def test_what_is_too_long_or_too_much_in_all_is_refused() -> None:
    with pytest.raises(InvalidExample, match="max_seconds"):
        reader(Limits(max_seconds=1)).read([wav(tone(440, 1.5))], {})
    with pytest.raises(InvalidExample, match="max_samples"):
        reader(Limits(max_samples=9_000)).read([wav(np.zeros((5_000, 2)))], {})
    with pytest.raises(LimitExceeded, match="max_total_samples"):
        reader(Limits(max_total_samples=20_000)).read([wav(tone(440))] * 3, {})


def test_without_its_packages_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(InvalidParameter, match=r"shotput\[audio\]"):
        reader().read([b""], {})

"""Series and recordings over HTTP, as values and as files."""

import base64
import io
from typing import Any

import numpy as np
import pytest

from tests.e2e.service import Service
from tests.tones import wav

SHAPES = {"sine": np.sin, "square": lambda t: np.sign(np.sin(t)), "saw": lambda t: t % (2 * np.pi) - np.pi}


def series(shape: str, seed: int) -> list[float | None]:
    """Three periods or so, of a random phase and length, with noise and a gap."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 6 * np.pi, int(rng.integers(50, 90))) + rng.uniform(0, 6)
    values: list[float | None] = (SHAPES[shape](t) * 10 + 100 + rng.normal(0, 0.5, len(t))).tolist()
    values[20:22] = [None, None]
    return values


def test_series_of_any_length_with_gaps_are_told_apart(service: Service) -> None:
    support = {
        "inputs": [series(shape, seed) for shape in SHAPES for seed in range(5)],
        "labels": [shape for shape in SHAPES for _ in range(5)],
    }
    response = service.adapt({"base": "series", "learner": "ridge", "support": support})
    assert response.status_code == 201, response.text
    model = response.json()
    assert (model["modality"], model["learner"]) == ("series", "ridge")
    answer = service.predict(model["id"], [series(shape, seed) for shape in SHAPES for seed in range(50, 55)]).json()
    labels = [prediction["label"] for prediction in answer["predictions"]]
    assert np.mean([label == shape for label, shape in zip(labels, np.repeat(list(SHAPES), 5), strict=True)]) > 0.85


def test_series_come_as_files_of_two_kinds_and_many_channels(service: Service) -> None:
    def file(rising: bool, seed: int, csv: bool) -> bytes:
        x = np.random.default_rng(seed).normal(0, 0.1, (2, 30)) + [np.linspace(0, 1 if rising else -1, 30)] * 2
        buffer = io.BytesIO()
        np.savetxt(buffer, x.T, delimiter=",") if csv else np.save(buffer, x)
        return buffer.getvalue()

    files = [(name, ("x", file(name == "up", seed, csv=seed % 2 == 0))) for name in ("up", "down") for seed in range(4)]
    response = service.client.post("/adapt", data={"base": "series"}, files=files)
    assert response.status_code == 201, response.text
    form: dict[str, Any] = {"data": {"model": response.json()["id"]}, "files": [("f", ("x", file(False, 9, csv=True)))]}
    assert service.client.post("/predict", **form).json()["predictions"][0]["label"] == "down"


def test_numbers_are_told_from_series_too(service: Service) -> None:
    def wave(frequency: float) -> list[float]:
        return np.sin(frequency * np.linspace(0, 10, 60)).tolist()  # type: ignore[no-any-return]

    frequencies = np.linspace(1, 3, 20).tolist()
    support = {"inputs": [wave(f) for f in frequencies], "labels": frequencies}
    model = service.adapt({"base": "series", "support": support}).json()
    (answer,) = service.predict(model["id"], [wave(2.05)]).json()["predictions"]
    assert answer["mean"] == pytest.approx(2.05, abs=0.2)


def test_a_bad_series_is_named(service: Service) -> None:
    support = {"inputs": [[1, 2, 3], [[1, 2], [3]]], "labels": ["a", "b"]}
    response = service.adapt({"base": "series", "support": support})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/support/inputs/1"
    assert "as many steps" in response.json()["detail"]


def sound(kind: str, seed: int) -> np.ndarray:
    """Half a second that rises, falls, or is broken off and taken up again."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, int(rng.integers(3_500, 4_500)))
    start, end = {"up": (300, 1500), "down": (1500, 300), "broken": (800, 800)}[kind]
    frequency = rng.uniform(0.9, 1.1) * (start + (end - start) * t)
    loud = ((t < 0.35) | (t > 0.65)) if kind == "broken" else np.ones_like(t)
    return 0.3 * loud * np.sin(2 * np.pi * np.cumsum(frequency) / 8_000) + rng.normal(0, 0.002, len(t))


SOUNDS = ("up", "down", "broken")


def test_recordings_of_every_kind_of_file_are_told_apart(service: Service) -> None:
    formats = {"WAV": "wav", "FLAC": "flac", "OGG": "ogg", "MP3": "mp3"}
    files = [
        (kind, (f"{seed}.{suffix}", wav(sound(kind, seed), 8_000, format)))
        for kind in SOUNDS
        for seed, (format, suffix) in enumerate(formats.items())
    ]
    response = service.client.post("/adapt", data={"base": "speech"}, files=files)
    assert response.status_code == 201, response.text
    model = response.json()
    assert model["shots"] == dict.fromkeys(SOUNDS, 4)
    asked = [
        base64.b64encode(wav(sound(kind, seed), 8_000, "FLAC")).decode() for kind in SOUNDS for seed in range(10, 14)
    ]
    predictions = service.predict(model["id"], asked).json()["predictions"]
    labels = [prediction["label"] for prediction in predictions]
    assert np.mean([label == kind for label, kind in zip(labels, np.repeat(SOUNDS, 4), strict=True)]) > 0.85


def test_a_recording_that_cannot_be_read_is_named(service: Service) -> None:
    good = base64.b64encode(wav(sound("up", 0), 8_000)).decode()
    support = {"inputs": [good, good, base64.b64encode(b"RIFF....").decode()], "labels": ["a", "b", "b"]}
    response = service.adapt({"base": "speech", "support": support})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/support/inputs/2"
    assert "WAV, FLAC, OGG, MP3" in response.json()["detail"]

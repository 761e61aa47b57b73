"""Folders of class folders of recordings, and folders of speakers."""

from pathlib import Path

import pytest
import torch

from meta_core.augment_sound import other_voice
from meta_core.dataset import build_dataset
from meta_core.datasets.images import SHARES, share_of
from meta_core.episodes import Size, TaskSource
from meta_core.errors import InvalidTask, NotFound
from meta_core.modality import build_modality
from tests.tones import tone, wav

SIZE = Size(ways=2, shots=1, queries=1)


def write(path: Path, pitch: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wav(tone(pitch, 0.1)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(20):
        for copy in range(2):
            write(tmp_path / "calls" / f"class {number}" / f"{copy}.wav", 200 + 100 * number)
    for speaker, low in (("ann", 200), ("bob", 2000)):
        for word in range(3):
            for copy in range(2):
                write(tmp_path / "words" / speaker / f"word {word}" / f"{copy}.wav", low + 300 * word)
    return tmp_path


def source(folder: Path, split: str, augmented: bool = False, **config: object) -> TaskSource:
    return build_dataset("audio", folder, config).source(split, augmented=augmented)  # type: ignore[arg-type]


def test_the_splits_share_no_class_and_leave_none_out(folder: Path) -> None:
    parts = [len(source(folder, split, path="calls").members) for split in ("train", "validation", "test")]  # type: ignore[attr-defined]
    assert sum(parts) == 20


def test_recordings_are_read_as_the_base_model_will_read_them(folder: Path) -> None:
    dataset = build_dataset("audio", folder, {"path": "calls", "rate": 8_000, "mels": 24})
    x = dataset.source("train").draw(SIZE, torch.Generator()).x
    assert x.shape[1:] == dataset.example_shape()
    reader = build_modality("audio", dataset.preprocessing())
    members = [reader.read([path.read_bytes()], {}) for path in sorted((folder / "calls").glob("*/0.wav"))]
    assert min((x[0] - member[0]).abs().max() for member in members) < 0.01


def test_a_task_is_of_one_speaker_and_the_held_out_are_not_trained_on(folder: Path) -> None:
    config = {"path": "words", "grouped": True, "held_out": ["bob"]}
    for split, high in (("train+validation", False), ("test", True)):
        tasks = source(folder, split, **config)
        x = tasks.draw(Size(ways=3, shots=1, queries=1), torch.Generator().manual_seed(0)).x
        assert ((x[:, 0].mean(-1).argmax(-1) > 20) == high).all()  # the loudest band


def test_a_bad_file_is_named(folder: Path) -> None:
    split = next(name for name, (low, high) in SHARES.items() if low <= share_of("class 1") < high)
    (folder / "calls" / "class 1" / "0.wav").write_bytes(b"noise")
    with pytest.raises(InvalidTask, match=r"class 1/0\.wav"):
        source(folder, split, path="calls")


def test_what_is_not_there_is_said(folder: Path) -> None:
    with pytest.raises(NotFound, match="nothing"):
        source(folder, "train", path="nothing")
    with pytest.raises(InvalidTask, match="no groups"):
        source(folder, "test", path="words", grouped=True, held_out=[])


def test_another_voice_is_a_spectrogram_still_and_drawn_by_the_generator() -> None:
    x = build_modality("audio", {}).read([wav(tone(300)), wav(tone(900))], {}).repeat(20, 1, 1, 1)
    first, again = (other_voice(x, torch.Generator().manual_seed(0)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == x.shape
    assert 0 <= first.min() < first.max() <= 1
    pitches = first[:, 0, :, 28:36].mean(-1).argmax(-1)
    assert (pitches[1::2] > pitches[::2]).float().mean() > 0.8  # what was higher is higher still

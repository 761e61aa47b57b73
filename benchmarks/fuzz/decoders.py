"""Kinds of cases for what reads inputs and datasets."""

import base64
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.fuzz.case import LIMITS, Case
from benchmarks.fuzz.damage import damaged, spoilt
from benchmarks.fuzz.files import archives, arrays, pictures, recordings, tables, texts
from meta_core import uploads
from meta_core.errors import MetaError
from meta_core.modality import build_modality
from meta_core.npy import read_npy
from meta_core.store import Store


def decoders() -> dict[str, Case]:
    """A kind for each decoder of inputs."""
    kinds: dict[str, Case] = {}
    files = {"image": pictures(), "audio": recordings()}
    for name, seeds in files.items():
        kinds[f"{name} file"] = _file_reader(name, seeds)
    kinds["npy"] = _with(arrays(), lambda content: read_npy(content) is not None)
    kinds["series file"] = _file_reader("series", [arrays()[0], b"1,2\n3,4\n,5\n"])
    kinds["text file"] = _file_reader("text", ["déjà vu".encode(), b"plain"])
    good: dict[str, list[Any]] = {
        "image": [base64.b64encode(pictures()[0]).decode(), [[0, 255], [128, 3]]],
        "audio": [base64.b64encode(recordings()[0]).decode()] * 2,
        "table": [{"a": 1.5, "b": "x", "c": None}, {"a": 2, "b": "y", "c": True}],
        "text": ["words", "and more"],
        "vector": [[0.5, 1, 2], [3, 4, 5]],
        "series": [[0.5, None, 2, 3], [[1, 2], [3, 4]]],
    }
    for name, inputs in good.items():
        kinds[f"{name} JSON"] = _value_reader(name, inputs)
    return kinds


def _with(seeds: list[bytes], read: Callable[[bytes], Any]) -> Case:
    def case(rng: random.Random) -> bool:
        read(damaged(rng.choice(seeds), rng))
        return True

    return case


def _file_reader(name: str, seeds: list[bytes]) -> Case:
    modality = build_modality(name, {}, LIMITS)
    return _with(seeds, lambda content: modality.read([content], modality.describe([content])))


def _value_reader(name: str, inputs: list[Any]) -> Case:
    modality = build_modality(name, {}, LIMITS)

    def case(rng: random.Random) -> bool:
        values = spoilt(inputs, rng)
        values = values if isinstance(values, list) and values else [values]
        x = modality.read(values, modality.describe(values))
        assert x.isfinite().all() or name == "series", "a number that is none was let through"
        return True

    return case


def uploaded() -> dict[str, Case]:
    """A kind for each format of datasets."""
    lines, jsonl = texts()
    files = {"zip and npz": archives(), "Parquet": tables(), "CSV": lines, "JSONL": jsonl}
    return {f"dataset {name}": _upload(seeds) for name, seeds in files.items()}


def _upload(seeds: list[bytes]) -> Case:
    folder = tempfile.TemporaryDirectory(prefix="shotput-fuzz-")
    path, store = Path(folder.name) / "file", Store("memory:///")
    (root := Path(folder.name) / "root").mkdir()

    def case(rng: random.Random, _keep: Any = folder) -> bool:
        seed = rng.choice(seeds)
        path.write_bytes(seed if rng.random() < 0.02 else damaged(seed, rng))
        before = set(store.keys("someone"))
        try:
            uploads.add(store, "someone", path, limits=LIMITS)
        except MetaError:
            assert set(store.keys("someone")) == before, "something was kept of a file that was refused"
            raise
        finally:
            assert not any(root.iterdir()), "something was written beside the file"
        return True

    return case

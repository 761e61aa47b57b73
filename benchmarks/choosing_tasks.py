"""The tasks of `benchmarks.choosing`: those that are measured, and those of other datasets, to learn from."""

import csv
import functools
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import SHARED_DATA
from benchmarks.series import load as load_series
from benchmarks.speech import RECIPE, SPEAKERS, trained
from benchmarks.spoken_digits import write_recordings
from benchmarks.text import OUTSIDE, labelled
from meta_core.base import Base, unpack_base
from meta_core.catalogue import SHIPPED
from meta_core.dataset import build_dataset
from meta_core.datasets.omniglot import Omniglot, OmniglotConfig
from meta_core.datasets.tables import Tables, TablesConfig
from meta_core.episodes import ClassSource, Size, TaskSource
from meta_core.errors import InvalidRequest
from meta_core.modality import build_modality
from meta_core.past_tasks import GENERATORS, Source, embedded, plain
from meta_core.recipe import Recipe
from meta_core.types import Episode, Support, Task

TABLES = ("balance_scale", "breast_w", "cmc", "credit_approval", "glass", "ionosphere", "penguins", "vehicle", "vowel")
SERIES = (
    "ArrowHead",
    "BasicMotions",
    "CricketX",
    "ECG200",
    "FacesUCR",
    "Fish",
    "GunPoint",
    "IndoorMovement",
    "ItalyPowerDemand",
    "OSULeaf",
    "Plane",
    "SwedishLeaf",
)
"""Those with thirty examples of every class, to learn from twenty and ask of ten, and one of several channels."""
MOST_ROWS = 600
TEXTS = ("banking77", "clinc150")
GROUPED = ("sleepstudy", "oxboys", "milk", "exam_london", "gapminder", "ovary")
PAST_GROUPED = ("chickweight", "math_achieve", "wafer")
REGRESSIONS = (
    "auto_imports_price",
    "auto_mpg",
    "fishcatch",
    "machine_cpu",
    "servo",
    "stock",
    "strike",
    "wine_quality_red",
)
SPEECH_STEPS = 300


@functools.cache
def shipped(name: str) -> Base:
    """A base model that comes with the program."""
    return unpack_base((SHIPPED / f"{name}.safetensors").read_bytes())


def sources(home: Path) -> Iterator[Source]:
    """Where the tasks come from that are measured, embedded where their inputs are always read alike."""
    characters = Omniglot(SHARED_DATA / "omniglot", OmniglotConfig(rotations=False)).source("test")
    yield embedded("omniglot", shipped("omniglot"), characters)
    for speaker in SPEAKERS:
        yield speech(speaker, home)
    for name in TEXTS:
        yield texts(name)
    for name in SERIES:
        yield series(name)
    for name in TABLES:
        yield table(name, "classification")
    for name in REGRESSIONS:
        yield table(name, "regression")
    for name in GROUPED:
        yield Source(name, shipped("table"), Grouped(SHARED_DATA / "grouped_regression" / f"{name}.csv"))


def past_sources() -> Iterator[Source]:
    """Tasks of other datasets, from which to learn what to expect too."""
    for name, task in GENERATORS.items():
        dataset = build_dataset(name, Path(name), {})
        yield Source(name, plain(task), dataset.source("train"))
    for name, images, labels in (
        ("mnist", "mnist_t10k/mnist_t10k.npz", "label"),
        ("sign_digits", "sign_digits/sign_digits_32.npz", "label"),
    ):
        archive = np.load(SHARED_DATA / images, allow_pickle=False)
        yield classes(name, shipped("omniglot"), list(archive["images"]), archive[labels].astype(np.int64))
    snips = labelled("snips7/snips7.jsonl", "train")
    names = sorted(set(snips.labels))
    yield classes("snips7", shipped("text-minilm"), snips.texts, np.array([names.index(x) for x in snips.labels]))
    for path in sorted((SHARED_DATA / "time_series").glob("*.npz")):
        if path.stem not in SERIES:
            yield series(path.stem)
    for path in sorted((SHARED_DATA / "tabular_classification").glob("[a-z]*.csv")):
        if path.stem not in TABLES:
            yield table(path.stem, "classification")
    for name in PAST_GROUPED:
        yield Source(name, shipped("table"), Grouped(SHARED_DATA / "grouped_regression" / f"{name}.csv"))


def table(name: str, task: Task) -> Source:
    """Rows of a table."""
    config = TablesConfig(path=name, task=task)
    return Source(name, shipped("table"), Tables(SHARED_DATA / f"tabular_{task}", config).source("test"))


def series(name: str) -> Source:
    """At most `MOST_ROWS` series of a set."""
    x, y, _ = load_series(name)
    return classes(name, shipped("series"), list(x), y)


def classes(name: str, base: Base, inputs: Sequence[Any], y: np.ndarray) -> Source:
    """At most `MOST_ROWS` examples of classes, as a base model embeds them."""
    kept = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))[:MOST_ROWS]
    rows = [inputs[i] for i in kept.tolist()]
    reader = base.modality()
    x = reader.read(rows, reader.describe(rows)).float()  # bytes of texts would be taken for pixels
    return embedded(name, base, ClassSource(x, torch.from_numpy(y)[kept]))


def speech(speaker: str, home: Path) -> Source:
    """Digits of a speaker never heard."""
    write_recordings(home / "audio")
    recipe = Recipe.parse(json.loads(RECIPE.read_text()), "recipe")
    values = {**recipe.dataset_params, "held_out": [speaker]}
    training = recipe.training.model_copy(update={"steps": SPEECH_STEPS})
    recipe = recipe.model_copy(update={"dataset_params": values, "training": training})
    base = trained(recipe, home / f"without-{speaker}.safetensors", home)
    (recordings,) = build_dataset("audio", home / "audio", values).source("test").groups  # type: ignore[attr-defined]
    return embedded(f"spoken_digits by {speaker}", base, recordings)


def texts(name: str) -> Source:
    """Sentences of the official test set, of forty intents."""
    base, sentences = shipped("text-minilm"), labelled(f"{name}/{name}.jsonl", "test")
    classes = sorted({label for label in sentences.labels if label != OUTSIDE})[::3][:40]
    chosen = [i for i, label in enumerate(sentences.labels) if label in classes]
    x = base.modality().read([sentences.texts[i] for i in chosen], {}).float()  # bytes would be taken for pixels
    y = torch.tensor([classes.index(sentences.labels[i]) for i in chosen])
    return embedded(name, base, ClassSource(x, y))


class Grouped(TaskSource):
    """Tasks of one subject, school or country each."""

    task: Task = "regression"

    def __init__(self, path: Path) -> None:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        self.groups: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in rows:
            if all(row.values()):
                self.groups[row["group"]].append(row)
        self.target = list(rows[0])[-1]
        self.shape = ()

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        """`shots` rows of a group; all others of it are asked."""
        large = [rows for rows in self.groups.values() if len(rows) > size.shots + 1]
        if not large:
            raise InvalidRequest(f"no group has more than {size.shots} rows")
        rows = large[int(torch.randint(len(large), (), generator=rng))]
        rows = [rows[i] for i in torch.randperm(len(rows), generator=rng).tolist()]
        reader = build_modality("table", {})
        inputs = [{k: _cell(v) for k, v in row.items() if k not in ("group", self.target)} for row in rows]
        y = torch.tensor([[float(row[self.target])] for row in rows])
        description = reader.describe(inputs[: size.shots])
        x = reader.read(inputs, description)
        return Episode(Support(x[: size.shots], y[: size.shots], None), x[size.shots :], y[size.shots :])


def _cell(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text

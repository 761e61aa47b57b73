"""Labels that a model needs when it may say which, beside labels drawn at random.

python -m benchmarks.suggest [--draws 16]
"""

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.record import SHARED_DATA, write
from meta_core.base import Base, unpack_base
from meta_core.catalogue import SHIPPED
from meta_core.datasets.omniglot import Omniglot, OmniglotConfig
from meta_core.episodes import scaled
from meta_core.learner import Learner
from meta_core.modality import build_modality
from meta_core.process import prepare_process
from meta_core.suggestion import suggest
from meta_core.types import Categorical, Support, Task

STEPS, BATCH = 14, 2
POOL, ASKED = 300, 300
DEVELOPED_ON = ("iris", "glass", "vehicle", "heart_cleveland", "ecoli", "zoo")
"""Tables on which weightings were compared before any other set was looked at."""
TEXTS = ("snips7", "banking77")


class Labelled(NamedTuple):
    """Embeddings [M, D] of a set, labels [M] or [M, 1], classes, and the learner that is taught."""

    name: str
    z: Tensor
    y: Tensor
    ways: int | None
    learner: Learner


def main() -> None:
    """Curves of both on every set."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--draws", type=int, default=16)
    draws = arguments.parse_args().draws
    prepare_process(1)
    rows = []
    for labelled in sets():
        chosen, drawn = (
            np.mean([curve(labelled, seed, suggested=suggested) for seed in range(draws)], 0)
            for suggested in (True, False)
        )
        rows.append(row(labelled, chosen, drawn, draws))
        print(rows[-1]["set"], rows[-1]["needed"], rows[-1]["of"], flush=True)
    write("suggest", f"python -m benchmarks.suggest --draws {draws}", rows)


def row(labelled: Labelled, chosen: Any, drawn: Any, draws: int) -> dict[str, Any]:
    """Labels needed to be as good as random labels are at the end, where that is reached at all."""
    first = labelled.ways or 3
    labels = [first + BATCH * step for step in range(STEPS + 1)]
    goal = drawn[-1]
    return {
        "set": labelled.name,
        "learner": labelled.learner.name,
        "score": "accuracy" if labelled.ways else "R²",
        "developed on": labelled.name in DEVELOPED_ON,
        "goal": float(goal),
        "needed": reached(labels, chosen, goal),
        "of": reached(labels, drawn, goal),
        "area": float(np.mean(chosen - drawn)),
        "labels": labels,
        "suggested": [round(float(value), 4) for value in chosen],
        "random": [round(float(value), 4) for value in drawn],
        "draws": draws,
    }


def reached(labels: list[int], scores: Any, goal: float) -> float | None:
    """The number of labels, between two steps by a straight line, at which a curve first reaches a score."""
    for step, score in enumerate(scores):
        if score >= goal:
            if step == 0:
                return float(labels[0])
            share = (goal - scores[step - 1]) / (score - scores[step - 1])
            return float(labels[step - 1] + share * BATCH)
    return None


@torch.no_grad()
def curve(labelled: Labelled, seed: int, *, suggested: bool) -> list[float]:
    """Score on inputs of no use otherwise, after each batch of labels, from one of each class (three targets) on."""
    rng = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labelled.z), generator=rng)
    half = min(len(order) // 2, POOL)
    pool, asked = order[:half], order[half : half + ASKED]
    if labelled.ways:
        first = [pool[labelled.y[pool] == c] for c in range(labelled.ways)]
        first = [found if len(found) else order[labelled.y[order] == c] for c, found in enumerate(first)]
        known = [int(found[0]) for found in first]
    else:
        known = pool[:3].tolist()
    asked = asked[~torch.isin(asked, torch.tensor(known))]
    scores = []
    for step in range(STEPS + 1):
        support = Support(labelled.z[known], labelled.y[known], labelled.ways)
        state = labelled.learner.adapt(support)
        scores.append(score(labelled, state, asked))
        rest = [index for index in pool.tolist() if index not in set(known)]
        if step == STEPS or len(rest) < BATCH:
            continue
        z = labelled.z[rest]
        positions = range(BATCH)
        if suggested:
            positions = suggest(labelled.learner, support, z, labelled.learner.predict(state, z), BATCH).positions
        known += [rest[position] for position in positions]
    return scores


def score(labelled: Labelled, state: dict[str, Tensor], asked: Tensor) -> float:
    """Accuracy, or R²."""
    answer, y = labelled.learner.predict(state, labelled.z[asked]), labelled.y[asked]
    if isinstance(answer, Categorical):
        return (answer.log_probabilities.argmax(-1) == y).float().mean().item()
    return (1 - (answer.mean - y).square().sum() / (y - y.mean()).square().sum()).item()


def sets() -> Iterator[Labelled]:
    """Tables of classes and of numbers, characters and sentences."""
    for path in sorted((SHARED_DATA / "tabular_classification").glob("[!_]*.csv")):
        yield table(path, "classification")
    for path in sorted((SHARED_DATA / "tabular_regression").glob("[!_]*.csv")):
        yield table(path, "regression")
    yield from characters()
    for name in TEXTS:
        yield sentences(name)


def table(path: Path, task: Task) -> Labelled:
    """All rows of a table, described by all of them, for base model `table`."""
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    target = list(rows[0])[-1]
    inputs = [{name: _cell(text) for name, text in row.items() if name != target} for row in rows]
    modality = build_modality("table", {})
    x = modality.read(inputs, modality.describe(inputs))
    values = [row[target] for row in rows]
    learner = _learner(shipped("table"), x, task, "ridge")
    if task == "regression":
        return Labelled(path.stem, learner.encode(x), torch.tensor([[float(value)] for value in values]), None, learner)
    return _classes(path.stem, learner, learner.encode(x), values)


def characters() -> Iterator[Labelled]:
    """Twenty characters never trained on, of three seeds."""
    source = Omniglot(SHARED_DATA / "omniglot", OmniglotConfig()).source("test")
    learner = _learner(shipped("omniglot"), source.x[:1], "classification", "protonet")
    for seed in range(3):
        some = torch.randperm(len(source.members), generator=torch.Generator().manual_seed(seed))[:20].tolist()
        keep = torch.cat([source.members[c] for c in some])
        with torch.no_grad():
            z = learner.encode(scaled(source.x[keep]))
        yield _classes(f"omniglot, draw {seed}", learner, z, [str(c) for c in some for _ in source.members[c]])


def sentences(name: str) -> Labelled:
    """Eight hundred sentences of at most ten intents, for base model `text-hash`."""
    lines = [json.loads(line) for line in (SHARED_DATA / name / f"{name}.jsonl").read_text().splitlines()]
    intents = sorted({line["label"] for line in lines})[:10]
    lines = [line for line in lines if line["label"] in intents]
    order = torch.randperm(len(lines), generator=torch.Generator().manual_seed(0))[:800].tolist()
    base = shipped("text-hash")
    modality = base.modality()
    texts = [lines[i]["text"] for i in order]
    x = modality.read(texts, modality.describe(texts))
    learner = _learner(base, x, "classification", "ridge")
    with torch.no_grad():
        return _classes(name, learner, learner.encode(x), [lines[i]["label"] for i in order])


def shipped(name: str) -> Base:
    """A base model that comes with the program."""
    return unpack_base((SHIPPED / f"{name}.safetensors").read_bytes())


def _learner(base: Base, x: Tensor, task: Task, name: str) -> Learner:
    own, config = base.spec.learners[task]
    return base.learner_for(name, config if name == own else {}, tuple(x.shape[1:]), task).inference()


def _classes(name: str, learner: Learner, z: Tensor, values: list[str]) -> Labelled:
    """Classes of fewer than eight examples are left out."""
    usual = sorted({value for value in values if values.count(value) >= 8})
    keep = [i for i, value in enumerate(values) if value in usual]
    y = torch.tensor([usual.index(values[i]) for i in keep])
    return Labelled(name, z[keep].detach(), y, len(usual), learner)


def _cell(text: str) -> str | float | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()

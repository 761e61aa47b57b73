"""Members of `average` and `stack` on two base models beside each member alone; every task is asked of all of them.

python -m benchmarks.across_bases [--tasks 40]

Drawings are test characters of Omniglot, texts the official test sets, tables draws from real ones; what each member is
was fixed before: the learner that its base model adapts with, or `logistic` on texts.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.record import SHARED_DATA, write
from benchmarks.table_sets import TableSet, as_service, table_sets
from benchmarks.text import OUTSIDE, labelled
from meta_core.across import learner_across
from meta_core.catalogue import Catalogue
from meta_core.datasets.omniglot import Omniglot, OmniglotConfig
from meta_core.episodes import ClassSource, Size
from meta_core.evaluation import mean_and_interval
from meta_core.learner import Learner
from meta_core.members import Member
from meta_core.store import Store
from meta_core.types import Episode, Support

TEXTS, WAYS, QUERIES = ("banking77", "clinc150"), 10, 10
SHOTS = (1, 5, 10)
TABLE_SHOTS, TABLE_DRAWS, TABLE_QUERIES = (5, 10, 20), 10, 100
COMBINED = ("average", "stack")


@dataclass(frozen=True)
class Pair:
    """Two members, the first on the base model that is asked."""

    bases: tuple[str, str]
    learners: tuple[str, str]

    def built(self, catalogue: Catalogue, shape: tuple[int, ...]) -> dict[str, Learner]:
        """The members alone, and their combinations."""
        found = [catalogue.get(name) for name in self.bases]

        def build(member: Member) -> Learner:
            base = found[0] if member.base is None else catalogue.get(member.base)
            values = base.params_of(member.learner, "classification", member.params)
            return base.learner_for(member.learner, values, shape, "classification").inference()

        here, there = self.learners
        members = [{"learner": here}, {"learner": there, "base": self.bases[1]}]
        alone = {
            f"{member['learner']} on {base}": build(Member.model_validate(member))
            for member, base in zip(members, self.bases, strict=True)
        }
        return alone | {name: learner_across(name, {"members": members}, "classification", build) for name in COMBINED}


DRAWINGS = Pair(("omniglot", "omniglot-views"), ("protonet", "protonet"))
SENTENCES = Pair(("text-minilm", "text-hash"), ("logistic", "logistic"))
ROWS = Pair(("table", "table-incontext"), ("logistic", "incontext"))


def main() -> None:
    """Measure each pair on its tasks."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tasks", type=int, default=40)
    tasks = arguments.parse_args().tasks
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        catalogue = Catalogue(Store(folder))
        rows = [
            row for name, source, pair in sources(catalogue) for row in measured(name, source, pair, catalogue, tasks)
        ]
        rows += tables(catalogue)
    write("across_bases", f"python -m benchmarks.across_bases --tasks {tasks}", rows)


def sources(catalogue: Catalogue) -> Iterator[tuple[str, ClassSource, Pair]]:
    """Examples of classes as the base models of a pair read them."""
    yield "omniglot", Omniglot(SHARED_DATA / "omniglot", OmniglotConfig(rotations=False)).source("test"), DRAWINGS
    for name in TEXTS:
        sentences = labelled(f"{name}/{name}.jsonl", "test")
        chosen = [i for i, label in enumerate(sentences.labels) if label != OUTSIDE]
        x = catalogue.get("text-minilm").modality().read([sentences.texts[i] for i in chosen], {})
        y = np.unique([sentences.labels[i] for i in chosen], return_inverse=True)[1]
        yield name, ClassSource(x, torch.from_numpy(y)), SENTENCES


@torch.no_grad()
def measured(name: str, source: ClassSource, pair: Pair, catalogue: Catalogue, tasks: int) -> Iterator[dict[str, Any]]:
    """Tasks of every number of shots; each example is embedded once by each learner."""
    built = pair.built(catalogue, source.shape)
    embedded = {who: source.encoded(learner.encode) for who, learner in built.items() if who != COMBINED[1]}
    embedded[COMBINED[1]] = embedded[COMBINED[0]]  # the same two bodies side by side
    for shots in SHOTS:
        hits: dict[str, list[float]] = {who: [] for who in built}
        for who, learner in built.items():
            rng = torch.Generator().manual_seed(shots)  # the same tasks for all
            for _ in range(tasks):
                episode = embedded[who].draw(Size(ways=WAYS, shots=shots, queries=QUERIES), rng)
                hits[who].append(accuracy(learner, episode))
        yield compared(name, f"{WAYS}-way {shots}-shot", hits)


@torch.no_grad()
def tables(catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    """All tables of classes, so many examples of each class."""
    drawn = [table for table in table_sets("classification") if np.bincount(table.y).min() > max(TABLE_SHOTS)]
    for shots in TABLE_SHOTS:
        hits: dict[str, list[float]] = {}
        for table in drawn:
            for seed in range(TABLE_DRAWS):
                episode = rows_of(table, shots, seed)
                for who, learner in ROWS.built(catalogue, tuple(episode.x.shape[1:])).items():
                    z = embedded_by(learner, episode)
                    hits.setdefault(who, []).append(accuracy(learner, z))
        yield compared(f"{len(drawn)} tables", f"{shots}-shot", hits)


def rows_of(table: TableSet, shots: int, seed: int) -> Episode:
    """So many rows of every class to learn from, and others to be asked."""
    order = np.random.default_rng(seed).permutation(len(table.y))
    learned = np.concatenate([order[table.y[order] == label][:shots] for label in range(table.y.max() + 1)])
    asked = order[~np.isin(order, learned)][:TABLE_QUERIES]
    support, queries = as_service(table, learned, asked)
    return Episode(support, queries, torch.from_numpy(table.y[asked]))


def embedded_by(learner: Learner, episode: Episode) -> Episode:
    """As a learner encodes it."""
    support = episode.support
    return Episode(Support(learner.encode(support.x), support.y, support.ways), learner.encode(episode.x), episode.y)


def accuracy(learner: Learner, episode: Episode) -> float:
    """Share of queries, in %, that are answered rightly."""
    answers: Tensor = learner.predict(learner.adapt(episode.support), episode.x).log_probabilities.argmax(-1)  # type: ignore[union-attr]
    return 100 * (answers == episode.y).double().mean().item()


def compared(dataset: str, setting: str, hits: dict[str, list[float]]) -> dict[str, Any]:
    """Accuracies, and what each combination gains over the member that is better on these tasks."""
    means = {who: float(np.mean(values)) for who, values in hits.items()}
    best = max((who for who in hits if who not in COMBINED), key=lambda who: means[who])
    row: dict[str, Any] = {"dataset": dataset, "setting": setting, "tasks": len(hits[best]), "accuracy": means}
    for name in COMBINED:
        gain, interval = mean_and_interval(list(np.subtract(hits[name], hits[best])))
        row |= {f"{name} over the best": gain, f"{name} ±": interval}
    return row


if __name__ == "__main__":
    main()

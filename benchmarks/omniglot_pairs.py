"""Learners beside what they build on, on the same Omniglot tasks: accuracy of both, and the difference task by task.

python -m benchmarks.omniglot_pairs [--bases FOLDER] [--data FOLDER] [--tasks 1000]

`clusters` with five unlabelled inputs a class, and without, beside `protonet`; `weightmap` and `hallucinate` beside the
ridge regression that each of them changes, with the same learned penalty and scale.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.omniglot import COLUMNS, base_of, embedded
from benchmarks.record import SHARED_DATA, commit, write
from meta_core.backbone import build_backbone
from meta_core.base import Base
from meta_core.dataset import build_dataset
from meta_core.episodes import ClassSource, Size
from meta_core.evaluation import mean_and_interval
from meta_core.learner import Learner
from meta_core.learners.ridge import Ridge
from meta_core.process import prepare_process
from meta_core.types import Categorical, Episode, Support

QUERIES, UNLABELLED = 10, 5
"""Of each class, whose drawings are 20."""
OWN_HEADS = ("weightmap", "hallucinate")


def main() -> None:
    """Measure all pairs."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tasks", type=int, default=1000)
    arguments.add_argument("--bases", type=Path, default=Path("bases"), help="folder of what the recipes make")
    arguments.add_argument("--data", type=Path, default=SHARED_DATA)
    given = arguments.parse_args()
    prepare_process(1)
    given.bases.mkdir(parents=True, exist_ok=True)
    source = build_dataset("omniglot", given.data / "omniglot", {}).source("test")
    assert isinstance(source, ClassSource)
    plain = base_of("protonet", "omniglot", given.bases, given.data)
    tasks_of = embedded(source, built("protonet", plain).backbone, given.bases)  # all these bases have this body
    rows = [*with_unlabelled(plain, tasks_of, given.tasks)]
    for name in OWN_HEADS:
        rows += with_own_head(name, base_of(name, "omniglot", given.bases, given.data), tasks_of, given.tasks)
    write("omniglot_pairs", f"python -m benchmarks.omniglot_pairs --tasks {given.tasks}", rows)


def with_unlabelled(base: Base, source: ClassSource, tasks: int) -> Iterator[dict[str, Any]]:
    """`clusters` with and without unlabelled inputs, beside `protonet`."""
    clusters, protonet = on_embeddings("clusters", base), on_embeddings("protonet", base)
    for what, unlabelled in ((f"clusters, {UNLABELLED} unlabelled a class", True), ("clusters", False)):
        yield from compared(what, clusters, "protonet", protonet, source=source, tasks=tasks, unlabelled=unlabelled)


def with_own_head(name: str, base: Base, source: ClassSource, tasks: int) -> Iterator[dict[str, Any]]:
    """A learner that changes what ridge regression makes, beside that regression alone."""
    learner = on_embeddings(name, base)
    assert isinstance(learner, Ridge)
    alone = on_embeddings("ridge", base, {"penalty": learner.log_penalty.exp().item()})
    alone.load_state_dict({"log_penalty": learner.log_penalty, "log_scale": learner.log_scale})
    yield from compared(name, learner, "its own ridge", alone, source=source, tasks=tasks)


def on_embeddings(name: str, base: Base, config: dict[str, Any] | None = None) -> Learner:
    """A learner with what the base model learned for it, on embeddings."""
    learner = built(name, base, config)
    learner.backbone = build_backbone("identity", (learner.backbone.dimension,), {})
    return learner


def built(name: str, base: Base, config: dict[str, Any] | None = None) -> Learner:
    """A learner in a base model."""
    own, values = base.spec.learners["classification"]
    return base.learner_for(name, config or (values if name == own else {}), base.spec.shape, "classification")


@torch.no_grad()
def compared(
    name: str,
    learner: Learner,
    beside: str,
    other: Learner,
    *,
    source: ClassSource,
    tasks: int,
    unlabelled: bool = False,
) -> Iterator[dict[str, Any]]:
    """A row for each column; all rows of a column are of the same tasks and queries."""
    for ways, shots in COLUMNS:
        seed = 1000 * ways + shots
        rng = torch.Generator().manual_seed(seed)
        size = Size(ways=ways, shots=shots, queries=QUERIES + UNLABELLED)
        pairs = []
        for _ in range(tasks):
            episode, more = set_apart(source.draw(size, rng))
            given = replace(episode.support, unlabelled=more) if unlabelled else episode.support
            pairs.append((graded(learner, given, episode), graded(other, episode.support, episode)))
        told = {"learner": name, "beside": beside, "ways": ways, "shots": shots, "tasks": tasks, "seed": seed}
        accuracy, nll = torch.tensor(pairs, dtype=torch.float64).permute(2, 0, 1)  # [tasks, 2] of both scores
        difference, interval = mean_and_interval((accuracy[:, 0] - accuracy[:, 1]).tolist())
        means = dict(zip(("accuracy", "accuracy beside"), accuracy.mean(0).tolist(), strict=True))
        likelihoods = dict(zip(("nll", "nll beside"), nll.mean(0).tolist(), strict=True))
        yield {**told, **means, "difference": difference, "interval": interval, **likelihoods, "commit": commit()}


def set_apart(episode: Episode) -> tuple[Episode, Tensor]:
    """The episode without the last queries of each class, and these."""
    ways = episode.support.ways
    assert ways is not None
    x, y = episode.x.view(ways, -1, *episode.x.shape[1:]), episode.y.view(ways, -1)
    fewer = Episode(episode.support, x[:, :QUERIES].flatten(0, 1), y[:, :QUERIES].flatten())
    return fewer, x[:, QUERIES:].flatten(0, 1)


def graded(learner: Learner, support: Support, episode: Episode) -> tuple[float, float]:
    """The share of queries answered right, and their mean negative log-likelihood."""
    answer = learner.predict(learner.adapt(support), episode.x)
    assert isinstance(answer, Categorical)
    right = answer.log_probabilities.argmax(-1) == episode.y
    return right.float().mean().item(), answer.nll(episode.y).mean().item()


if __name__ == "__main__":
    main()

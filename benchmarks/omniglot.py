"""Accuracy of the base model `omniglot` on unseen characters: Vinyals split, rotations as classes, inductive.

python -m benchmarks.omniglot [--tasks 1000] [--data FOLDER]
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.record import SHARED_DATA, write
from meta_core.base import unpack_base
from meta_core.catalogue import SHIPPED
from meta_core.dataset import build_dataset
from meta_core.episodes import Size
from meta_core.evaluation import evaluate
from meta_core.process import prepare_process

COLUMNS = [(5, 1), (5, 5), (20, 1), (20, 5)]
LEARNERS = ["protonet", "ridge", "logistic"]


def main() -> None:
    """Measure every learner on the same tasks."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tasks", type=int, default=1000)
    arguments.add_argument("--data", type=Path, default=SHARED_DATA / "omniglot")
    given = arguments.parse_args()
    prepare_process(1)
    base = unpack_base((SHIPPED / "omniglot.safetensors").read_bytes())
    source = build_dataset("omniglot", given.data, {}).source("test")
    rows = []
    for name in LEARNERS:
        learner = base.learner_for(name, {}, base.spec.shape, "classification")
        for ways, shots in COLUMNS:
            size = Size(ways=ways, shots=shots, queries=15)
            # logistic regression is fitted anew for each task, which takes its time
            tasks = given.tasks if name != "logistic" else given.tasks // 5
            result = evaluate(learner, source, size, tasks, torch.Generator().manual_seed(1000 * ways + shots))
            row = {"learner": name, "ways": ways, "shots": shots, **asdict(result)}
            rows.append({key: value for key, value in row.items() if value is not None})
    write("omniglot", f"python -m benchmarks.omniglot --tasks {given.tasks}", rows)


if __name__ == "__main__":
    main()

"""Squared error of the base model `sinusoid` on unseen waves, and how many truths its 90 % intervals hold.

python -m benchmarks.sinusoid [--tasks 2000]
"""

import argparse
from pathlib import Path

import torch

from benchmarks.record import write
from meta_core.base import unpack_base
from meta_core.catalogue import SHIPPED
from meta_core.dataset import build_dataset
from meta_core.engine import NORMAL_90
from meta_core.episodes import Size
from meta_core.evaluation import answer, evaluate
from meta_core.process import prepare_process
from meta_core.types import Gaussian


def main() -> None:
    """Measure from five and from ten points."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tasks", type=int, default=2000)
    given = arguments.parse_args()
    prepare_process(1)
    base = unpack_base((SHIPPED / "sinusoid.safetensors").read_bytes())
    name, config = base.spec.learners["regression"]
    learner = base.learner_for(name, config, base.spec.shape, "regression")
    source = build_dataset("sinusoids", Path(), {}).source("test")
    rows = []
    for shots in (5, 10):
        size = Size(shots=shots, queries=100)
        result = evaluate(learner, source, size, given.tasks, torch.Generator().manual_seed(shots))
        rng = torch.Generator().manual_seed(shots)
        covered = [
            coverage(answer(learner, episode), episode.y) for episode in (source.draw(size, rng) for _ in range(500))
        ]
        rows.append(
            {
                "points": shots,
                "mse": result.mse,
                "interval": result.interval,
                "nll": result.nll,
                "covered by 90 %": sum(covered) / len(covered),
                "tasks": result.tasks,
                "hash": result.episode_hash,
            }
        )
    write("sinusoid", f"python -m benchmarks.sinusoid --tasks {given.tasks}", rows)


def coverage(prediction: object, y: torch.Tensor) -> float:
    """Share of truths inside the 90 % interval."""
    assert isinstance(prediction, Gaussian)
    inside = (y - prediction.mean).abs() < NORMAL_90 * prediction.variance.sqrt()
    return inside.float().mean().item()


if __name__ == "__main__":
    main()

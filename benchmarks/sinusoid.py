"""Squared error of regression learners on unseen waves, and how many truths their 90 % intervals hold.

python -m benchmarks.sinusoid --learner maml [--learner …] | --all  [--bases FOLDER] [--tasks 600]

A learner with a recipe in recipes/sinusoid/ is measured in the base model which that makes; `cnp` is the shipped base
model `sinusoid`; the others see the bare numbers, without any meta-training. The rows of other learners are kept.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.costs import measure_costs
from benchmarks.made_bases import made, shipped
from benchmarks.record import RESULTS, commit, write
from meta_core.backbone import build_backbone
from meta_core.dataset import build_dataset
from meta_core.episodes import Size, TaskSource
from meta_core.evaluation import answer, evaluate
from meta_core.learner import Learner, build_learner, learners
from meta_core.process import prepare_process
from meta_core.types import Gaussian
from meta_core.widths import NORMAL_90

RECIPES = Path(__file__).parent / "recipes" / "sinusoid"
POINTS = (5, 10)
STEPS = {"maml": (1, 5, 10)}
"""Gradient steps at which a learner is tested, where its paper has a table of them."""
QUERIES = 100


def main() -> None:
    """Measure some learners, or all."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    chosen = arguments.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--learner", action="append", choices=list(measurable()))
    chosen.add_argument("--all", action="store_true")
    arguments.add_argument("--tasks", type=int, default=600)
    arguments.add_argument("--bases", type=Path, default=Path("bases"), help="folder of what the recipes make")
    arguments.add_argument("--costs", action="store_true", help="measure time and bytes alone; scores are kept")
    given = arguments.parse_args()
    prepare_process(1)
    for name in given.learner or measurable():
        keep(costed(name, given.bases) if given.costs else list(measured(name, given.bases, given.tasks)))


def measurable() -> Iterator[str]:
    """Learners of numbers that have, or need not have, a base model of their own."""
    for name in learners:
        alone = not learners[name].needs_meta_training and name not in ("average", "stack")
        if "regression" in learners[name].tasks and (alone or name == "cnp" or recipe_of(name).exists()):
            yield name


def recipe_of(learner: str) -> Path:
    """Where its recipe is, if it has one."""
    return RECIPES / f"{learner}.json"


def measured(name: str, folder: Path, tasks: int) -> Iterator[dict[str, Any]]:
    """A row for each number of points, and of gradient steps."""
    for steps in STEPS.get(name, (None,)):
        learner, training = ready(name, folder, {} if steps is None else {"steps": steps})
        for points in POINTS:
            scores = scored(learner, Size(shots=points, queries=QUERIES), tasks)
            costs = measure_costs(learner, waves(), Size(shots=points, queries=1))
            told = {"training": training, "commit": commit()}
            yield {"learner": name, "steps": steps, "points": points, **scores, **costs, **told}


def costed(name: str, folder: Path) -> list[dict[str, Any]]:
    """The rows that a learner has, with its costs measured anew."""
    rows = [row for row in kept_rows() if row["learner"] == name]
    for row in rows:
        learner, _ = ready(name, folder, {} if row["steps"] is None else {"steps": row["steps"]})
        row.update(measure_costs(learner, waves(), Size(shots=row["points"], queries=1)))
    return rows


def waves() -> TaskSource:
    """Waves of the published table."""
    return build_dataset("sinusoids", Path(), {}).source("test")


def ready(name: str, folder: Path, changed: dict[str, Any]) -> tuple[Learner, dict[str, Any] | None]:
    """The learner, and how it was trained, if it was."""
    own = recipe_of(name).exists()
    if not own and name != "cnp":
        return build_learner(name, build_backbone("identity", (1,), {}), {}, "regression").eval(), None
    base = made(recipe_of(name), folder, Path()) if own else shipped("sinusoid")
    values = {**base.spec.learners["regression"][1], **changed}
    recipe = base.provenance["recipe"]
    training = {**recipe["training"], "curves": recipe["dataset_params"].get("curves", 1)}
    return base.learner_for(name, values, base.spec.shape, "regression"), training


def scored(learner: Learner, size: Size, tasks: int) -> dict[str, Any]:
    """Squared error, its interval, likelihood and coverage on the same waves for every learner."""
    source = waves()
    result = evaluate(learner, source, size, tasks, torch.Generator().manual_seed(size.shots))
    rng = torch.Generator().manual_seed(size.shots)
    episodes = (source.draw(size, rng) for _ in range(max(1, tasks // 4)))
    with torch.no_grad():
        covered = [coverage(answer(learner, episode), episode.y) for episode in episodes]
    scores = {key: getattr(result, key) for key in ("mse", "interval", "nll", "tasks", "episode_hash")}
    return {**scores, "covered by 90 %": sum(covered) / len(covered), "seed": size.shots}


def coverage(prediction: object, y: Tensor) -> float:
    """Share of truths inside the 90 % interval."""
    assert isinstance(prediction, Gaussian)
    inside = (y - prediction.mean).abs() < NORMAL_90 * prediction.variance.sqrt()
    return inside.float().mean().item()


def keep(rows: list[dict[str, Any]]) -> None:
    """Put the rows of a learner in the place of those it had."""
    now = {row["learner"] for row in rows}
    kept = [row for row in kept_rows() if row["learner"] not in now]
    write("sinusoid", "python -m benchmarks.sinusoid --all", sorted([*kept, *rows], key=lambda row: row["learner"]))


def kept_rows() -> list[dict[str, Any]]:
    """What was measured before."""
    path = RESULTS / "sinusoid.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text())["results"] if path.exists() else []
    return rows


if __name__ == "__main__":
    main()

"""Accuracy of learners on unseen characters: Omniglot, Vinyals split, rotations as classes, each query answered alone.

python -m benchmarks.omniglot --learner relation [--learner …] | --all  [--bases FOLDER] [--data FOLDER]

A learner with a recipe in recipes/omniglot/ is measured in the base model which that makes, which is looked for in the
folder and trained if it is not there; any other on the body of the shipped base model `omniglot`. Images are encoded
once where the body stays as it is. The rows of other learners are kept.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from benchmarks.costs import measure_costs
from benchmarks.made_bases import made, shipped
from benchmarks.record import RESULTS, SHARED_DATA, commit, write
from meta_core.backbone import Backbone, build_backbone
from meta_core.base import Base
from meta_core.dataset import build_dataset
from meta_core.episodes import ClassSource, Size
from meta_core.evaluation import evaluate
from meta_core.learner import learners
from meta_core.process import prepare_process

COLUMNS = [(5, 1), (5, 5), (20, 1), (20, 5)]
QUERIES = 15
RECIPES = Path(__file__).parent / "recipes" / "omniglot"
FEWER_TASKS = {"cosine": 400, "logistic": 150, "svm": 150, "tree": 150, "gp": 100, "finetune": 100, "forest": 40}
FEWER_TASKS_OF_BODIES = (300, 60, 30, 10)
"""Where each task moves the body: by column."""
COSTS = Size(ways=5, shots=5, queries=1)


def main() -> None:
    """Measure some learners, or all."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    chosen = arguments.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--learner", action="append", choices=list(measurable()))
    chosen.add_argument("--all", action="store_true")
    arguments.add_argument("--base", default="omniglot", help="shipped base model whose body serves")
    arguments.add_argument("--tasks", type=int, default=1000, help="most tasks of a column")
    arguments.add_argument("--bases", type=Path, default=Path("bases"), help="folder of what the recipes make")
    arguments.add_argument("--data", type=Path, default=SHARED_DATA)
    given = arguments.parse_args()
    prepare_process(1)
    given.bases.mkdir(parents=True, exist_ok=True)  # embeddings are kept there too
    source = build_dataset("omniglot", given.data / "omniglot", {}).source("test")
    assert isinstance(source, ClassSource)
    for name in given.learner or measurable():
        base = base_of(name, given.base, given.bases, given.data)
        keep(list(measured(name, base, source, given.tasks, given.bases)))


def measurable() -> Iterator[str]:
    """Learners of classes that have, or need not have, a base model of their own."""
    for name in learners:
        learner = learners[name]
        own = learner.needs_meta_training or learner.adapts_body
        if "classification" in learner.tasks and (not own or recipe_of(name).exists()):
            yield name


def recipe_of(learner: str) -> Path:
    """Where its recipe is, if it has one."""
    return RECIPES / f"{learner}.json"


def base_of(learner: str, body: str, folder: Path, data: Path) -> Base:
    """The base model that a learner is measured in."""
    return made(recipe_of(learner), folder, data) if recipe_of(learner).exists() else shipped(body)


def measured(name: str, base: Base, source: ClassSource, most: int, folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each column."""
    own, config = base.spec.learners["classification"]
    learner = base.learner_for(name, config if name == own else {}, base.spec.shape, "classification")
    recipe = base.provenance["recipe"]
    circumstances = {"training": recipe["training"], "start": recipe.get("start"), "learner": own}
    at, costs = commit(), measure_costs(learner, source, COSTS)
    frozen = learner.only_embeds
    tasks_of = source
    if frozen:
        tasks_of = embedded(source, learner.backbone, folder)
        learner.backbone = build_backbone("identity", (learner.backbone.dimension,), {})
    for column, (ways, shots) in enumerate(COLUMNS):
        tasks = min(most, FEWER_TASKS.get(name, 1000) if frozen else FEWER_TASKS_OF_BODIES[column])
        size, seed = Size(ways=ways, shots=shots, queries=QUERIES), 1000 * ways + shots
        result = evaluate(learner, tasks_of, size, tasks, torch.Generator().manual_seed(seed))
        scores = {key: getattr(result, key) for key in ("accuracy", "interval", "nll", "ece", "tasks")}
        told = {"seed": seed, "episode_hash": episode_hash(source, size, tasks, seed), "commit": at}
        label = f"{name} on {base.name}" if base.name == "omniglot-views" else name
        yield {"learner": label, "ways": ways, "shots": shots, **scores, **costs, **told, "base": circumstances}


def embedded(source: ClassSource, body: Backbone, folder: Path) -> ClassSource:
    """The same classes as embeddings, which are kept in the folder for the next learner on this body."""
    digest = hashlib.sha256()
    for name, value in sorted(body.state_dict().items()):
        digest.update(name.encode() + value.numpy().tobytes())
    path = folder / f"embeddings-{digest.hexdigest()[:16]}.safetensors"
    if not path.exists():
        save_file({"x": source.encoded(body.inference()).x}, path)
    x = load_file(path)["x"]
    return source.replaced(x)


def episode_hash(source: ClassSource, size: Size, tasks: int, seed: int) -> str:
    """Tells whether two learners met the same tasks: of the numbers of the drawings, whatever they are seen as."""
    numbers = source.replaced(torch.arange(len(source.x), dtype=torch.float64)[:, None])
    rng, digest = torch.Generator().manual_seed(seed), hashlib.sha256()
    for _ in range(tasks):
        episode = numbers.draw(size, rng)
        digest.update(episode.support.x.numpy().tobytes() + episode.x.numpy().tobytes())
    return digest.hexdigest()[:16]


def keep(rows: list[dict[str, Any]]) -> None:
    """Put the rows of a learner in the place of those it had."""
    path = RESULTS / "omniglot.json"
    before = json.loads(path.read_text())["results"] if path.exists() else []
    measured_now = {row["learner"] for row in rows}
    kept = [row for row in before if row["learner"] not in measured_now and "adapt_ms" in row]
    rows = sorted([*kept, *rows], key=lambda row: row["learner"])
    write("omniglot", "python -m benchmarks.omniglot --all", rows)


if __name__ == "__main__":
    main()

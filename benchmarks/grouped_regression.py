"""Tasks that are people, schools or countries: meta-learned regression against four simple ways, on unseen groups.

Three-fold over groups: each third is adapted to by what was learned from the other two. Whether columns are bent
(backbone `hinges`) is chosen for each table by the likelihood on validation groups, none of them of the test.

python -m benchmarks.grouped_regression [--draws 5] [--steps 30]
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from benchmarks.record import SHARED_DATA, write
from meta_core.base import Base
from meta_core.dataset import build_dataset
from meta_core.datasets.groups import GroupSource
from meta_core.episodes import Size
from meta_core.process import prepare_process
from meta_core.recipe import Recipe, meta_train
from meta_core.types import Episode, Gaussian, Support
from meta_core.widths import NORMAL_90

BODIES = ("identity", "hinges")
SHOTS = {"wafer": 3}
"""Points of a group to adapt to; five elsewhere."""
Answer = Callable[[Support, Tensor], np.ndarray]


def main() -> None:
    """Measure every table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--draws", type=int, default=5, help="support sets of each unseen group")
    arguments.add_argument("--steps", type=int, default=30, help="of meta-training, after the prior was estimated")
    given = arguments.parse_args()
    prepare_process(1)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "groups").symlink_to(SHARED_DATA / "grouped_regression")
        names = sorted(path.stem for path in (SHARED_DATA / "grouped_regression").glob("[!_]*.csv"))
        rows = [row for name in names for row in measured(name, Path(folder), given.draws, given.steps)]
    write(
        "grouped_regression",
        f"python -m benchmarks.grouped_regression --draws {given.draws} --steps {given.steps}",
        rows,
    )


def measured(name: str, folder: Path, draws: int, steps: int) -> list[dict[str, object]]:
    """RMSE of each way on one table, over all its groups, each unseen once."""
    shots = SHOTS.get(name, 5)
    errors: dict[str, list[np.ndarray]] = {}
    covered: list[np.ndarray] = []
    chosen: list[str] = []
    for fold in range(3):
        dataset = build_dataset("groups", folder / "groups", {"path": name, "fold": fold})
        seen, unseen = dataset.source("train+validation"), dataset.source("test")
        assert isinstance(seen, GroupSource)
        assert isinstance(unseen, GroupSource)
        base = trained(name, fold, shots, steps, folder)
        chosen.append(base.spec.backbone)
        learner = base.learner_for("bayes_linear", base.spec.learners["regression"][1], seen.shape, "regression")
        ways = simple_ways(seen)
        for episode in episodes_of(unseen, shots, draws):
            truth = episode.y.numpy().ravel()
            with torch.no_grad():
                state = learner.adapt(Support(learner.encode(episode.support.x), episode.support.y, None))
                answer = learner.predict(state, learner.encode(episode.x))
            assert isinstance(answer, Gaussian)
            apart = answer.mean.numpy().ravel() - truth
            errors.setdefault("shotput bayes_linear", []).append(apart)
            covered.append(np.abs(apart) <= NORMAL_90 * answer.variance.sqrt().numpy().ravel())
            for way, answered in ways.items():
                errors.setdefault(way, []).append(answered(episode.support, episode.x) - truth)
    coverage = float(np.concatenate(covered).mean())
    return [
        {
            "table": name,
            "shots": shots,
            "model": model,
            "rmse": float(np.sqrt(np.square(np.concatenate(apart)).mean())),
            **({"coverage": coverage, "backbones": chosen} if model.startswith("shotput") else {}),
        }
        for model, apart in errors.items()
    ]


def trained(name: str, fold: int, shots: int, steps: int, folder: Path) -> Base:
    """The base model of the body that is likelier on validation groups, trained on those too."""

    def train(body: str, validation: int) -> Base:
        training = {"steps": steps, "tasks": 4, "shots": shots, "queries": 20, "rate": 3e-3, "validate_every": steps}
        recipe = Recipe.parse(
            {
                "name": f"groups-{name.replace('_', '-')}",
                "dataset": "groups",
                "dataset_params": {"path": name, "fold": fold},
                "learner": "bayes_linear",
                "backbone": body,
                "training": {**training, "average": 0.9, "validation_tasks": validation},
            },
            "recipe",
        )
        cpu = torch.device("cpu")
        return meta_train(recipe, version=1, datasets_folder=folder, device=cpu, report=lambda progress: None)

    scores = {body: train(body, validation=100).scores["validation"] for body in BODIES}
    return train(max(scores, key=lambda body: scores[body]), validation=0)


def simple_ways(seen: GroupSource) -> dict[str, Answer]:
    """What one would do without meta-learning; ridge regressions of penalty 1 on standardised columns."""
    pooled = Ridge(1.0).fit(torch.cat([x for x, _ in seen.groups]), torch.cat([y for _, y in seen.groups]).ravel())

    def shifted(support: Support, x: Tensor) -> np.ndarray:
        shift = support.y.numpy().ravel() - pooled.predict(support.x.numpy())
        return pooled.predict(x.numpy()) + shift.mean()

    return {
        "support mean": lambda support, x: np.full(len(x), support.y.mean().item()),
        "pooled ridge": lambda support, x: pooled.predict(x.numpy()),
        "pooled + shift": shifted,
        "own ridge": lambda support, x: Ridge(1.0).fit(support.x, support.y.ravel()).predict(x.numpy()),
    }


def episodes_of(source: GroupSource, shots: int, draws: int) -> list[Episode]:
    """Every group that has more rows than shots, `draws` times, all its other rows asked."""
    rng = torch.Generator().manual_seed(0)
    able = [group for group in source.groups if len(group[0]) > shots]
    everything = Size(shots=shots, queries=max(len(x) for x, _ in able))
    return [GroupSource([group]).draw(everything, rng) for group in able for _ in range(draws)]


if __name__ == "__main__":
    main()

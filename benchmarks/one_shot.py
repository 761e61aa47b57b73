"""The official one-shot runs of Omniglot: 20 characters of one alphabet, one drawing each, 20 to be told; 20 times.

python -m benchmarks.one_shot [--bases FOLDER] [--data FOLDER]

The body has seen the 30 background alphabets alone; the runs are drawn from the other 20.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import torch

from benchmarks.made_bases import made, with_views
from benchmarks.record import SHARED_DATA, write
from meta_core.dataset import build_dataset
from meta_core.episodes import ClassSource, scaled
from meta_core.evaluation import mean_and_interval
from meta_core.learner import Learner
from meta_core.process import prepare_process
from meta_core.types import Categorical, Support

RECIPE = Path(__file__).parent / "recipes" / "omniglot-background.json"
DRAWERS = 20


def main() -> None:
    """Measure the body as it is, and with views."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bases", type=Path, default=Path("bases"), help="folder of what the recipe makes")
    arguments.add_argument("--data", type=Path, default=SHARED_DATA)
    given = arguments.parse_args()
    prepare_process(1)
    base = made(RECIPE, given.bases, given.data)
    parameters = {"split": "background", "rotations": False}
    source = build_dataset("omniglot", given.data / "omniglot", parameters).source("test")
    assert isinstance(source, ClassSource)
    runs = read_runs(given.data / "omniglot")
    rows = []
    for name, body in (("protonet", base), ("protonet, mean of five views", with_views(base))):
        learner = body.learner_for("protonet", {}, base.spec.shape, "classification")
        errors = [error(learner, source, run) for run in runs]
        mean, interval = mean_and_interval(errors)
        training = {**base.provenance["recipe"]["training"], "note": base.provenance.get("note", "")}
        rows.append({"learner": name, "error": mean, "interval": interval, "runs": len(errors), "training": training})
    write("one_shot", "python -m benchmarks.one_shot", rows)


def read_runs(folder: Path) -> list[list[tuple[int, int]]]:
    """Of each run, where its learned and its asked drawings lie in the test part, character by character."""
    with (folder / "classes.csv").open(newline="") as file:
        characters = sorted(int(row["char_id"]) for row in csv.DictReader(file) if row["lake_part"] == "evaluation")
    place = {character: DRAWERS * index - 1 for index, character in enumerate(characters)}
    runs: dict[str, list[tuple[int, int]]] = {}
    with (folder / "one_shot_runs.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            first = place[int(row["char_id"])]
            pair = (first + int(row["training_drawer"]), first + int(row["test_drawer"]))
            runs.setdefault(row["run"], []).append(pair)
    return list(runs.values())


@torch.no_grad()
def error(learner: Learner, source: ClassSource, run: list[tuple[int, int]]) -> float:
    """Share of the asked drawings whose character is not told."""
    learned, asked = torch.tensor(run).T
    characters = torch.arange(len(run))
    state = learner.adapt(Support(learner.encode(scaled(source.x[learned])), characters, len(run)))
    answers: Any = learner.predict(state, learner.encode(scaled(source.x[asked])))
    assert isinstance(answers, Categorical)
    return (answers.log_probabilities.argmax(-1) != characters).float().mean().item()


if __name__ == "__main__":
    main()

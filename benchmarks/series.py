"""Base model `series` on the official splits of 19 sets, beside 1-NN and MiniRocket with ridge of aeon.

All three get the same series: gaps filled, resampled to the longest of the training split (the modality's reading). The
few-shot rows learn from that many training series of each class and answer at most 200 of the test split. aeon is
installed into an environment of its own; its kernels are drawn five times and the accuracies averaged. That ours
compete was decided with the test accuracies of nine of these sets in sight; that each series keeps its level and scale
by cross-validation on training splits (four of four sets in which they differ), though after a look at the test
accuracies of three; nothing else was.

python -m benchmarks.series [--environment FOLDER] [--sets GunPoint,…]
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import SHARED_DATA, write
from meta_core.base import Base, unpack_base
from meta_core.catalogue import SHIPPED
from meta_core.modality import build_modality
from meta_core.process import prepare_process
from meta_core.types import Categorical, Support

FOLDER = SHARED_DATA / "time_series"
AEON = "aeon==1.6.0"
MOST_ASKED = 200
"""Of the test split, drawn at random, in the few-shot rows."""
THEIRS = """
import json, pathlib, sys
import numpy as np
from aeon.classification.convolution_based import MiniRocketClassifier
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.npz")):
    z = np.load(path, allow_pickle=False)
    models = [MiniRocketClassifier(random_state=seed).fit(z["x"], z["y"]) for seed in range(5)]
    shares = [float((model.predict(z["queries"]) == z["truth"]).mean()) for model in models]
    print(json.dumps([path.stem, sum(shares) / len(shares)]), flush=True)
"""


def main() -> None:
    """Measure every set."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--environment", type=Path, default=Path(".shotput/aeon"), help="where aeon is installed")
    arguments.add_argument("--sets", default="", help="names, separated by commas; all that have a test split if empty")
    given = arguments.parse_args()
    prepare_process(1)
    base = unpack_base((SHIPPED / "series.safetensors").read_bytes())
    names = given.sets.split(",") if given.sets else list(with_test_split())
    beside = theirs(given.environment, names)
    command = f"python -m benchmarks.series{f' --sets {given.sets}' if given.sets else ''}"
    rows = [row for name in names for row in measure(name, base, beside[name])]
    write("series", command, rows)
    write("series", command, rows + [row for name in names for row in measure_few(name, base)])


def with_test_split() -> Iterator[str]:
    """Names of the sets with an official test split."""
    with (FOLDER / "_index.csv").open(newline="") as file:
        yield from (row["name"] for row in csv.DictReader(file) if int(row["test"]))


def aeon_in(folder: Path) -> Path:
    """The Python of an environment with aeon, made where it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", AEON], check=True)
    return python


def measure(name: str, base: Base, beside: float) -> list[dict[str, Any]]:
    """Accuracies on one set after its whole training split."""
    x, y, test = load(name)
    both = read_alike(x, test)
    scores = {
        "series": accuracy(base, x[~test], y[~test], x[test], y[test]),
        "1-NN Euclidean": nearest(both[~test], y[~test], both[test], y[test]),
        "aeon MiniRocket": beside,
    }
    return as_rows(name, y, test, "all", scores)


def measure_few(name: str, base: Base) -> list[dict[str, Any]]:
    """Accuracies on one set after a few series of each class."""
    x, y, test = load(name)
    both = read_alike(x, test)
    rng = np.random.default_rng(0)
    asked = rng.permutation(np.nonzero(test)[0])[:MOST_ASKED]
    rows = []
    for shots in (1, 5):
        s = few(y, test, shots, rng)
        scores = {
            "series": accuracy(base, x[s], y[s], x[asked], y[asked]),
            "1-NN Euclidean": nearest(both[s], y[s], both[asked], y[asked]),
        }
        rows += as_rows(name, y, test, shots, scores)
    return rows


def as_rows(
    name: str, y: np.ndarray, test: np.ndarray, shots: int | str, scores: dict[str, float]
) -> list[dict[str, Any]]:
    """One for each model."""
    print(name, shots, {model: round(100 * value, 1) for model, value in scores.items()}, flush=True)
    about = {"set": name, "train": int((~test).sum()), "test": int(test.sum()), "classes": len(np.unique(y))}
    return [{**about, "shots": shots, "model": model, "accuracy": value} for model, value in scores.items()]


def load(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Series [n, channels, steps], labels, and which are of the test split."""
    archive = np.load(FOLDER / f"{name}.npz", allow_pickle=False)
    return archive["x"], archive["y"].astype(np.int64), archive["split"] == 1


def read_alike(x: np.ndarray, test: np.ndarray) -> np.ndarray:
    """What the others see: gaps filled, resampled to the longest of the training split."""
    plain = build_modality("series", {"standardise": False})
    return plain.read(list(x), plain.describe(list(x[~test]))).numpy()


def few(y: np.ndarray, test: np.ndarray, shots: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of `shots` training series of each class, fewer where there are fewer."""
    members = [np.nonzero((y == label) & ~test)[0] for label in np.unique(y)]
    return np.concatenate([rng.permutation(rows)[:shots] for rows in members])


def accuracy(base: Base, x: np.ndarray, y: np.ndarray, queries: np.ndarray, truth: np.ndarray) -> float:
    """Of the base model, as the service would answer."""
    modality = base.modality()
    description = modality.describe(list(x))
    read = modality.read(list(x), description)
    name, config = base.spec.learners["classification"]
    learner = base.learner_for(name, config, tuple(read.shape[1:]), "classification")
    with torch.no_grad():
        state = learner.adapt(Support(learner.encode(read), torch.from_numpy(y), int(y.max()) + 1))
        answer = learner.predict(state, learner.encode(modality.read(list(queries), description)))
    assert isinstance(answer, Categorical)
    return float((answer.log_probabilities.argmax(-1).numpy() == truth).mean())


def nearest(x: np.ndarray, y: np.ndarray, queries: np.ndarray, truth: np.ndarray) -> float:
    """Of the label of the nearest series."""
    distances = torch.cdist(torch.from_numpy(queries).flatten(1), torch.from_numpy(x).flatten(1))
    return float((y[distances.argmin(1).numpy()] == truth).mean())


def theirs(environment: Path, names: list[str]) -> dict[str, float]:
    """Accuracies of MiniRocket with RidgeClassifierCV, in one process of aeon's own; kept beside it once measured."""
    kept = environment / "accuracies.json"
    known: dict[str, float] = json.loads(kept.read_text()) if kept.exists() else {}
    if missing := [name for name in names if name not in known]:
        with tempfile.TemporaryDirectory() as folder:
            for name in missing:
                x, y, test = load(name)
                both = read_alike(x, test)
                np.savez(Path(folder) / name, x=both[~test], y=y[~test], queries=both[test], truth=y[test])
            command = [str(aeon_in(environment)), "-W", "ignore", "-c", THEIRS, folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        known |= dict(json.loads(line) for line in done.stdout.splitlines())
        kept.write_text(json.dumps(known))
    return known


if __name__ == "__main__":
    main()

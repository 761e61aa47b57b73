"""Base model `series` on the official splits of 19 sets, beside 1-NN and MiniRocket with ridge of aeon.

All three get the same series: gaps filled, resampled to the longest of the training split (the modality's reading). The
few-shot rows learn from that many training series of each class, and answer the whole test split. aeon is
installed into an environment of its own. That the kernels compete was decided with the test accuracies of nine of these
sets in sight; nothing else was.

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
DRAWS = 1
THEIRS = """
import json, pathlib, sys
import numpy as np
from aeon.classification.convolution_based import MiniRocketClassifier
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.npz")):
    z = np.load(path, allow_pickle=False)
    model = MiniRocketClassifier(random_state=0).fit(z["x"], z["y"])
    print(json.dumps([path.stem, float((model.predict(z["queries"]) == z["truth"]).mean())]), flush=True)
"""


def main() -> None:
    """Measure every set."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--environment", type=Path, default=Path(".shotput/aeon"), help="where aeon is installed")
    arguments.add_argument("--sets", default="", help="names, separated by commas; all that have a test split if empty")
    given = arguments.parse_args()
    prepare_process(1)
    python = aeon_in(given.environment)
    base = unpack_base((SHIPPED / "series.safetensors").read_bytes())
    names = given.sets.split(",") if given.sets else list(with_test_split())
    beside = theirs(python, names)
    print(beside, flush=True)
    rows = [row for name in names for row in measure(name, base, beside[name])]
    write("series", f"python -m benchmarks.series{f' --sets {given.sets}' if given.sets else ''}", rows)


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
    """Accuracies on one set."""
    x, y, test = load(name)
    row = {"set": name, "train": int((~test).sum()), "test": int(test.sum()), "classes": len(np.unique(y))}
    both = read_alike(x, test)
    scores = {
        "series": accuracy(base, x[~test], y[~test], x[test], y[test]),
        "1-NN Euclidean": nearest(both[~test], y[~test], both[test], y[test]),
        "aeon MiniRocket": beside,
    }
    for shots in (1, 5):
        draws = [few(y, test, shots, np.random.default_rng(seed)) for seed in range(DRAWS)]
        scores[f"series, {shots} a class"] = mean(accuracy(base, x[s], y[s], x[test], y[test]) for s in draws)
        scores[f"1-NN, {shots} a class"] = mean(nearest(both[s], y[s], both[test], y[test]) for s in draws)
    print(name, {key: round(100 * value, 1) for key, value in scores.items()}, flush=True)
    return [{**row, "model": model, "accuracy": value} for model, value in scores.items()]


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


def theirs(python: Path, names: list[str]) -> dict[str, float]:
    """Accuracies of MiniRocket with RidgeClassifierCV, in one process of aeon's own."""
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            x, y, test = load(name)
            both = read_alike(x, test)
            np.savez(Path(folder) / name, x=both[~test], y=y[~test], queries=both[test], truth=y[test])
        command = [str(python), "-W", "ignore", "-c", THEIRS, folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(line) for line in done.stdout.splitlines())


def mean(values: Iterator[float]) -> float:
    return float(np.mean(list(values)))


if __name__ == "__main__":
    main()

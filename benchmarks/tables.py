"""Base model `table` against scikit-learn on the same rows: five rows a class to learn from, all others to answer.

python -m benchmarks.tables [--draws 200]
"""

import argparse

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.record import write
from meta_core.base import unpack_base
from meta_core.catalogue import SHIPPED
from meta_core.evaluation import mean_and_interval
from meta_core.process import prepare_process
from meta_core.types import Categorical, Support

TABLES = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer}
SHOTS = 5


def main() -> None:
    """Measure both on every table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--draws", type=int, default=200)
    given = arguments.parse_args()
    prepare_process(1)
    rows = []
    for name, load in TABLES.items():
        x, y = load(return_X_y=True)
        scores = [accuracies(x, y, np.random.default_rng(seed)) for seed in range(given.draws)]
        for side, values in zip(("shotput table", "scikit-learn"), zip(*scores, strict=True), strict=True):
            accuracy, interval = mean_and_interval(list(values))
            rows.append(
                {"table": name, "model": side, "accuracy": accuracy, "interval": interval, "draws": len(values)}
            )
    write("tables", f"python -m benchmarks.tables --draws {given.draws}", rows)


def accuracies(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Accuracy of ours and theirs after the same five rows a class."""
    chosen = np.concatenate([rng.choice(np.nonzero(y == label)[0], SHOTS, replace=False) for label in np.unique(y)])
    rest = np.setdiff1d(np.arange(len(y)), chosen)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x[chosen], y[chosen])
    return ours(x[chosen], y[chosen], x[rest], y[rest]), theirs.score(x[rest], y[rest])


def ours(x: np.ndarray, y: np.ndarray, queries: np.ndarray, truth: np.ndarray) -> float:
    """Accuracy of the base model `table`, its rows given as people give them."""
    base = unpack_base((SHIPPED / "table.safetensors").read_bytes())
    learned, asked = ([{str(i): v for i, v in enumerate(row)} for row in rows.tolist()] for rows in (x, queries))
    modality = base.modality()
    description = modality.describe(learned)
    name, config = base.spec.learners["classification"]
    features = modality.read(learned, description)
    learner = base.learner_for(name, config, tuple(features.shape[1:]), "classification")
    with torch.no_grad():
        state = learner.adapt(Support(learner.encode(features), torch.from_numpy(y), int(y.max()) + 1))
        answer = learner.predict(state, learner.encode(modality.read(asked, description)))
    assert isinstance(answer, Categorical)
    return float((answer.log_probabilities.argmax(-1).numpy() == truth).mean())


if __name__ == "__main__":
    main()

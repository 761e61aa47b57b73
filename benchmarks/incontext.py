"""Tables of few rows: learners of the service against scikit-learn's models, on the same draws of rows.

Classification: as many rows of each class (at most half of it); regression: rows in all. At most
100 other rows are asked. Bases `table-incontext` and `table-incontext-regression` are shipped or given by --bases.

python -m benchmarks.incontext [--draws 1] [--sizes 4 8 16 32 64] [--folds 5] [--bases FOLDER]

With --folds every row is asked once, by what the other folds teach. Results of other sizes are kept.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from benchmarks.record import RESULTS, commit, write
from benchmarks.table_sets import TableSet, as_service, folds, for_scikit_learn, table_sets
from meta_core.base import Base, unpack_base
from meta_core.catalogue import SHIPPED
from meta_core.evaluation import answer
from meta_core.process import prepare_process
from meta_core.types import Categorical, Episode, Task

SIZES = (4, 8, 16, 32, 64)
MOST_ASKED = 100
INCONTEXT: dict[Task, str] = {"classification": "table-incontext", "regression": "table-incontext-regression"}
OURS: dict[Task, tuple[str, ...]] = {
    "classification": ("logistic", "gp"),
    "regression": ("ridge", "gp"),
}
Split = tuple[np.ndarray, np.ndarray]
"""Rows to learn from and rows to be asked."""
Way = Callable[[TableSet, np.ndarray, np.ndarray], np.ndarray]


def main() -> None:
    """Measure every way on every table and size."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--draws", type=int, default=1)
    arguments.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    arguments.add_argument("--folds", type=int, help="cross-validation too, by so many folds")
    arguments.add_argument("--processes", type=int, default=2)
    arguments.add_argument("--bases", type=Path, default=SHIPPED)
    given = arguments.parse_args()
    prepare_process(1)
    tables = [table for task in INCONTEXT for table in table_sets(task)]
    with ProcessPoolExecutor(given.processes, get_context("fork"), prepare_process, (1,)) as pool:
        measured = pool.map(
            partial(measure, sizes=given.sizes, draws=given.draws, parts=given.folds, folder=given.bases), tables
        )
        rows = [row for table_rows in measured for row in table_rows]
    keep(rows)


def keep(rows: list[dict[str, Any]]) -> None:
    """Put the rows in the place of those of the same sizes."""
    path = RESULTS / "incontext.json"
    before = json.loads(path.read_text())["results"] if path.exists() else []
    now = {row["rows"] for row in rows}
    order = [*SIZES, *{row["rows"] for row in [*before, *rows]} - set(SIZES)]
    rows = sorted([*(row for row in before if row["rows"] not in now), *rows], key=lambda row: order.index(row["rows"]))
    draws = max(row["draws"] for row in rows if row["rows"] in SIZES)
    parts = [f" --folds {row['draws']}" for row in rows if isinstance(row["rows"], str)][:1]
    write("incontext", "".join([f"python -m benchmarks.incontext --draws {draws}", *parts]), rows)


def measure(table: TableSet, sizes: Sequence[int], draws: int, parts: int | None, folder: Path) -> list[dict[str, Any]]:
    """Every way on one table; means over the draws of rows, or over the folds."""
    ways = {**ours(table.task, folder), **theirs(table.task)}
    chosen: dict[int | str, list[Split]] = {
        size: [drawn(table, size, np.random.default_rng(seed)) for seed in range(draws)] for size in sizes
    }
    if parts:
        chosen[f"{parts}-fold"] = list(cross_validation(table, parts))
    rows = []
    for size, splits in chosen.items():
        for name, way in ways.items():
            scores = [graded(table, way(table, *split), split[1]) for split in splits]
            means = {key: float(np.mean([score[key] for score in scores])) for key in scores[0]}
            told = {"draws": len(splits), "commit": commit()}
            rows.append({"task": table.task, "table": table.name, "rows": size, "model": name, **means, **told})
    return rows


def cross_validation(table: TableSet, parts: int) -> Iterator[Split]:
    """Each fold asked, with all other rows to learn from."""
    dealt = folds(table, parts, seed=0)
    for fold, asked in enumerate(dealt):
        yield np.concatenate([part for other, part in enumerate(dealt) if other != fold]), asked


def drawn(table: TableSet, size: int, rng: np.random.Generator) -> Split:
    """As many rows of each class, or in all, and others."""
    order = rng.permutation(len(table.y))
    if table.task == "regression":
        learned = order[:size]
    else:
        members = [order[table.y[order] == label] for label in np.unique(table.y)]
        learned = np.concatenate([member[: min(size, max(1, len(member) // 2))] for member in members])
    return learned, order[~np.isin(order, learned)][:MOST_ASKED]


def graded(table: TableSet, answered: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    """Error and negative log-likelihood of probabilities [Q, C]; error of numbers [Q] in deviations of the target."""
    truth = table.y[asked]
    if table.task == "regression":
        return {"rmse": float(np.sqrt(np.square(answered - truth).mean()) / table.y.std())}
    likely = answered[np.arange(len(truth)), truth].clip(1e-6)  # no model is believed to be surer than that
    return {"error": float((answered.argmax(1) != truth).mean()), "nll": float(-np.log(likely).mean())}


def ours(task: Task, folder: Path) -> dict[str, Way]:
    """The in-context learner, and learners on base model `table`."""
    table_base = unpack_base((SHIPPED / "table.safetensors").read_bytes())
    incontext = unpack_base((folder / f"{INCONTEXT[task]}.safetensors").read_bytes())
    members = [{"learner": "incontext", "params": incontext.spec.learners[task][1]}, "forest"]
    ways = {
        "shotput incontext": _way(incontext, "incontext"),
        "shotput average of incontext and forest": _way(incontext, "average", {"members": members}),
    }
    return ways | {f"shotput {name}": _way(table_base, name) for name in OURS[task]}


def _way(base: Base, name: str, params: dict[str, Any] | None = None) -> Way:
    def way(table: TableSet, learned: np.ndarray, asked: np.ndarray) -> np.ndarray:
        support, queries = as_service(table, learned, asked)
        own, config = base.spec.learners.get(table.task, ("", {}))
        learner = base.learner_for(name, config if name == own else params or {}, tuple(queries.shape[1:]), table.task)
        with torch.no_grad():
            answered = answer(learner, Episode(support, queries, torch.from_numpy(table.y[asked])))
        if isinstance(answered, Categorical):
            return answered.log_probabilities.exp().numpy()
        return answered.mean.numpy().ravel()

    return way


def theirs(task: Task) -> dict[str, Way]:
    """Models of scikit-learn with their defaults."""
    models: dict[str, Callable[[], Any]] = {
        "classification": {
            "scikit-learn logistic regression": lambda: LogisticRegression(max_iter=1000),
            "scikit-learn random forest": lambda: RandomForestClassifier(random_state=0),
            "scikit-learn boosting": lambda: HistGradientBoostingClassifier(random_state=0),
            "scikit-learn k-NN": KNeighborsClassifier,
        },
        "regression": {
            "scikit-learn ridge": Ridge,
            "scikit-learn random forest": lambda: RandomForestRegressor(random_state=0),
            "scikit-learn boosting": lambda: HistGradientBoostingRegressor(random_state=0),
            "scikit-learn k-NN": KNeighborsRegressor,
        },
    }[task]
    return {name: _their_way(model) for name, model in models.items()}


def _their_way(model: Callable[[], Any]) -> Way:
    def way(table: TableSet, learned: np.ndarray, asked: np.ndarray) -> np.ndarray:
        estimator = model()
        if hasattr(estimator, "n_neighbors"):
            estimator.n_neighbors = min(estimator.n_neighbors, len(learned))
        fitted = for_scikit_learn(table, estimator).fit(table.columns(learned), table.y[learned])
        if table.task == "regression":
            return np.asarray(fitted.predict(table.columns(asked)))
        probabilities = np.zeros((len(asked), int(table.y.max()) + 1))
        probabilities[:, fitted.classes_] = fitted.predict_proba(table.columns(asked))
        return probabilities

    return way


if __name__ == "__main__":
    main()

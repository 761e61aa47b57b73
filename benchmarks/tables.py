"""Base model `table` against scikit-learn's logistic regression on 25 tables: 5-fold cross-validation, the same folds.

python -m benchmarks.tables [--folds 5]
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from benchmarks.record import write
from benchmarks.table_sets import TableSet, as_service, folds, for_scikit_learn, table_sets
from meta_core.base import unpack_base
from meta_core.catalogue import SHIPPED
from meta_core.process import prepare_process
from meta_core.types import Categorical

Answer = Callable[[TableSet, np.ndarray, np.ndarray], np.ndarray]


def main() -> None:
    """Measure both on every table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--folds", type=int, default=5)
    given = arguments.parse_args()
    prepare_process(1)
    sides: dict[str, Answer] = {"shotput table": ours, "scikit-learn": theirs}
    rows = [
        {"table": table.name, "model": side, **cross_validated(table, answer, given.folds)}
        for table in table_sets("classification")
        for side, answer in sides.items()
    ]
    write("tables", f"python -m benchmarks.tables --folds {given.folds}", rows)


def cross_validated(table: TableSet, answer: Answer, count: int) -> dict[str, float]:
    """Accuracy and mean negative log-likelihood, each row answered from the folds that it is not in."""
    correct, nll = np.zeros(len(table.y)), np.zeros(len(table.y))
    parts = folds(table, count, seed=0)
    for fold, asked in enumerate(parts):
        learned = np.concatenate([part for other, part in enumerate(parts) if other != fold])
        probabilities = answer(table, learned, asked)
        correct[asked] = probabilities.argmax(1) == table.y[asked]
        nll[asked] = -np.log(probabilities[np.arange(len(asked)), table.y[asked]].clip(1e-12))
    interval = 1.96 * correct.std() / len(correct) ** 0.5
    return {"accuracy": float(correct.mean()), "interval": float(interval), "nll": float(nll.mean())}


def theirs(table: TableSet, learned: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Probabilities [Q, C] of a logistic regression with C = 1 on standardised and one-hot columns."""
    model = for_scikit_learn(table, LogisticRegression(max_iter=2000))
    model.fit(table.columns(learned), table.y[learned])
    probabilities = np.zeros((len(asked), int(table.y.max()) + 1))
    probabilities[:, model.classes_] = model.predict_proba(table.columns(asked))
    return probabilities


def ours(table: TableSet, learned: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Probabilities of the base model `table` with its own learner, its rows given as people give them."""
    base = unpack_base((SHIPPED / "table.safetensors").read_bytes())
    support, queries = as_service(table, learned, asked)
    name, config = base.spec.learners["classification"]
    learner = base.learner_for(name, config, tuple(queries.shape[1:]), "classification")
    with torch.no_grad():
        answer = learner.predict(learner.adapt(support), queries)
    assert isinstance(answer, Categorical)
    return answer.log_probabilities.exp().numpy()


if __name__ == "__main__":
    main()

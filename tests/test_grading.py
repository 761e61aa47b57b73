"""Grades of answers, against scikit-learn and by hand."""

import math

import numpy as np
import pytest
import torch

from meta_core.grading import grade
from meta_core.types import Categorical, Gaussian

NAMES = ["a", "b", "c"]


def test_grades_of_classes_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = torch.Generator().manual_seed(0)
    probabilities = torch.rand(200, 3, generator=rng, dtype=torch.float64).softmax(-1)
    y = torch.randint(0, 3, (200,), generator=rng)
    grades = grade(Categorical(probabilities.log().float()), y, NAMES)
    answered = probabilities.argmax(-1)
    assert grades["accuracy"] == pytest.approx(metrics.accuracy_score(y, answered))
    assert grades["nll"] == pytest.approx(metrics.log_loss(y, probabilities.numpy()), rel=1e-5)
    matrix = metrics.confusion_matrix(y, answered)
    assert grades["confusion"] == {"classes": NAMES, "matrix": matrix.tolist()}
    recall = sorted(metrics.recall_score(y, answered, average=None))
    assert [row["accuracy"] for row in grades["worst_classes"]] == pytest.approx(recall)
    wrong = matrix - np.diag(np.diag(matrix))
    assert grades["most_confused"][0]["times"] == wrong.max()
    assert sum(row["examples"] for row in grades["reliability"]) == 200
    gaps = [row["examples"] * abs(row["confidence"] - row["accuracy"]) for row in grades["reliability"]]
    assert grades["ece"] == pytest.approx(sum(gaps) / 200, abs=1e-6)


def test_four_answers_by_hand() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    grades = grade(Categorical(probabilities.log()), torch.tensor([0, 0, 1, 1]), ["x", "y"])
    assert grades["accuracy"] == 0.75
    assert grades["interval"] == pytest.approx(1.96 * math.sqrt(0.75 * 0.25 / 4))
    assert grades["confusion"]["matrix"] == [[2, 0], [1, 1]]
    assert grades["worst_classes"][0] == {"class": "y", "examples": 2, "accuracy": 0.5}
    assert grades["most_confused"] == [{"class": "y", "answered": "x", "times": 1}]


def test_grades_of_targets_are_those_of_the_textbook() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = torch.Generator().manual_seed(0)
    mean, noise = torch.randn(2000, 1, generator=rng), torch.randn(2000, 1, generator=rng)
    grades = grade(Gaussian(mean, torch.ones(2000, 1)), mean + noise, [])
    assert grades["rmse"] == pytest.approx(metrics.root_mean_squared_error(mean + noise, mean))
    assert grades["r2"] == pytest.approx(metrics.r2_score(mean + noise, mean), abs=1e-5)
    assert grades["coverage"] == pytest.approx(0.9, abs=0.02)

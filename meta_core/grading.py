"""Grading answers to labelled queries: how often right, how sure, and where wrong."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from meta_core.evaluation import BINS, expected_calibration_error
from meta_core.types import Categorical, Gaussian, Prediction
from meta_core.widths import NORMAL_90

MOST_IN_MATRIX = 100
"""Classes up to which the whole confusion matrix is told."""
WORST = 10

Grades = dict[str, Any]


def grade(prediction: Prediction, y: Tensor, classes: Sequence[str]) -> Grades:
    """Scores of answers to Q queries with true classes `y` [Q], of `classes`, or targets [Q, T], as plain JSON."""
    if isinstance(prediction, Gaussian):
        return grade_targets(prediction, y)
    return grade_classes(prediction, y, classes)


def grade_classes(prediction: Categorical, y: Tensor, classes: Sequence[str]) -> Grades:
    """Accuracy ± 95 % interval, NLL in nats, ECE and reliability over 15 bins, confusions and the worst classes."""
    confidence, answer = prediction.log_probabilities.exp().max(-1)  # [Q]
    right = (answer == y).float()
    accuracy = right.mean().item()
    return {
        "examples": len(y),
        "accuracy": accuracy,
        "interval": 1.96 * math.sqrt(accuracy * (1 - accuracy) / len(y)),
        "nll": prediction.nll(y).mean().item(),
        "ece": expected_calibration_error(confidence, right),
        "reliability": reliability(confidence, right),
        **confusions(confusion_matrix(y, answer, len(classes)), classes),
    }


def grade_targets(prediction: Gaussian, y: Tensor) -> Grades:
    """RMSE, R², NLL in nats, and the share of targets inside their 90 % interval."""
    squared = (prediction.mean - y).square()  # [Q, T]
    total = (y - y.mean(0)).square().mean().item()
    within = (prediction.mean - y).abs() <= NORMAL_90 * prediction.variance.sqrt()
    return {
        "examples": len(y),
        "rmse": math.sqrt(squared.mean().item()),
        "r2": 1 - squared.mean().item() / total if total > 0 else None,
        "nll": prediction.nll(y).mean().item(),
        "coverage": within.float().mean().item(),
    }


def reliability(confidence: Tensor, right: Tensor) -> list[dict[str, Any]]:
    """For each of 15 equal bins of confidence that is not empty: how many, how sure and how often right."""
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    rows = []
    for index in range(BINS):
        inside = bins == index
        if count := int(inside.sum()):
            sure, often = confidence[inside].mean().item(), right[inside].mean().item()
            rows.append({"from": index / BINS, "examples": count, "confidence": sure, "accuracy": often})
    return rows


def confusion_matrix(y: Tensor, answer: Tensor, ways: int) -> Tensor:
    """How often class i [row] was answered with class j [column], [C, C]."""
    return torch.bincount(y * ways + answer, minlength=ways * ways).view(ways, ways)


def confusions(matrix: Tensor, classes: Sequence[str]) -> Grades:
    """The confusion matrix (of up to 100 classes), the pairs most often confused, and the classes least often right."""
    counts, right = matrix.sum(1), matrix.diagonal()
    recall = [
        {"class": classes[i], "examples": int(counts[i]), "accuracy": (right[i] / counts[i]).item()}
        for i in counts.nonzero().flatten().tolist()
    ]
    wrong = matrix - torch.diag(right)
    pairs = [
        {"class": classes[i], "answered": classes[j], "times": int(wrong[i, j])} for i, j in wrong.nonzero().tolist()
    ]
    told: Grades = {
        "worst_classes": sorted(recall, key=lambda row: float(row["accuracy"]))[:WORST],
        "most_confused": sorted(pairs, key=lambda row: -int(row["times"]))[:WORST],
    }
    if len(classes) <= MOST_IN_MATRIX:
        told["confusion"] = {"classes": list(classes), "matrix": matrix.tolist()}
    return told

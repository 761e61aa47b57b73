"""Probabilities that mean what they say: one number per adapted model, from leave-one-out answers."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from meta_core.types import Categorical, Gaussian, Prediction

CANDIDATES = torch.logspace(-1.5, 1.5, 61)


@dataclass(frozen=True, kw_only=True)
class CalibrationPrior:
    """Where the calibration of a learner lies on most tasks, and the weight of that belief in examples.

    `untold` serves where nothing can be left out.
    """

    centre: float = 1.0
    examples: float = 10.0
    untold: float = 1.0


EVEN = CalibrationPrior()
"""The belief that answers are calibrated already."""


def calibration_of(prediction: Prediction, y: Tensor, prior: CalibrationPrior = EVEN) -> float:
    """The sharpness by which to multiply log-probabilities, or the factor for variances.

    Sharpness minimises the negative log-likelihood of leave-one-out answers plus a log-normal prior; the factor is
    the mean squared standardised residual, shrunk to the centre of the prior in the same measure.
    """
    if isinstance(prediction, Gaussian):
        return likeliest_factor(prediction, y, prior)
    return CANDIDATES[likeliest(sharpness_curve(prediction, y), prior)].item()


def likeliest_factor(prediction: Gaussian, y: Tensor, prior: CalibrationPrior) -> float:
    """The factor for variances."""
    total = ((y - prediction.mean).square() / prediction.variance).sum().item() / y.shape[-1]
    return (total + prior.examples * prior.centre) / (len(y) + prior.examples)


def sharpness_curve(prediction: Categorical, y: Tensor) -> Tensor:
    """The negative log-likelihood of the truth under each of `CANDIDATES`, [K], summed over examples."""
    log_probabilities = prediction.log_probabilities
    scaled = CANDIDATES.to(log_probabilities)[:, None, None] * log_probabilities  # [K, M, C]
    return (scaled.logsumexp(-1) - scaled[:, torch.arange(len(y)), y]).sum(-1).cpu()


def likeliest(curves: Tensor, prior: CalibrationPrior) -> Tensor:
    """Which of `CANDIDATES` is best by each curve [..., K] and a prior."""
    belief = 0.5 * prior.examples * (CANDIDATES.log() - math.log(prior.centre)).square()
    return (curves + belief).argmin(-1)


def calibrated(prediction: Prediction, calibration: float | Tensor) -> Prediction:
    """A prediction with its certainty corrected; of stacked tasks, each by its own."""
    if isinstance(prediction, Gaussian):
        return Gaussian(prediction.mean, prediction.variance * calibration)
    return Categorical((calibration * prediction.log_probabilities).log_softmax(-1))

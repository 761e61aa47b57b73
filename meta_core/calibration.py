"""Probabilities that mean what they say: one number per adapted model, from leave-one-out answers."""

import torch
from torch import Tensor

from meta_core.types import Categorical, Gaussian, Prediction

CANDIDATES = torch.logspace(-1.5, 1.5, 61)
PRIOR_EXAMPLES = 10.0
"""Weight of the belief that answers are calibrated already, in examples."""


def calibration_of(prediction: Prediction, y: Tensor) -> float:
    """The sharpness by which to multiply log-probabilities, or the factor for variances.

    Sharpness minimises the negative log-likelihood of leave-one-out answers plus a log-normal prior around 1; the
    factor is the mean squared standardised residual, shrunk to 1 in the same measure.
    """
    if isinstance(prediction, Gaussian):
        squared = (y - prediction.mean).square() / prediction.variance
        total = squared.sum().item() / squared.shape[-1]
        return (total + PRIOR_EXAMPLES) / (len(y) + PRIOR_EXAMPLES)
    sharpness = CANDIDATES.to(prediction.log_probabilities)
    scaled = (sharpness[:, None, None] * prediction.log_probabilities).log_softmax(-1)  # [K, M, C]
    nll = -scaled.gather(-1, y[None, :, None].expand(len(sharpness), -1, 1)).sum((1, 2))  # [K]
    prior = 0.5 * PRIOR_EXAMPLES * sharpness.log().square()
    return sharpness[(nll + prior).argmin()].item()


def calibrated(prediction: Prediction, calibration: float | Tensor) -> Prediction:
    """A prediction with its certainty corrected; of stacked tasks, each by its own."""
    if isinstance(prediction, Gaussian):
        return Gaussian(prediction.mean, prediction.variance * calibration)
    return Categorical((calibration * prediction.log_probabilities).log_softmax(-1))

"""The usual calibration of a learner, from experience with it."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from meta_core.calibration import CANDIDATES, CalibrationPrior, likeliest
from meta_core.experience import Experience
from meta_core.selection import tilted

CENTRES = torch.logspace(-1.5, 1.5, 31).tolist()
BELIEFS = (1.0, 3.0, 10.0, 30.0, 100.0)
TILT_PENALTY = 30.0
"""Of the squared weights of the features of a task in its usual calibration, in nats."""
FEWEST_DATASETS = 8
"""On which a learner has to be known for its usual calibration to follow the features of a task."""


def usual_calibration(
    own: Sequence[Experience], centre: Sequence[float], scale: Sequence[float]
) -> tuple[CalibrationPrior, list[float]]:
    """The belief under which calibrated answers to queries were best; of classes, with its tilt by the features."""
    if own[0].task == "regression":  # of which there are few datasets, of heavy tails
        return _calibration(own, CENTRES), []
    features = torch.tensor([standardised(one.features, centre, scale) for one in own], dtype=torch.float64)
    if len({one.dataset for one in own}) < FEWEST_DATASETS:
        return _calibration(own, CENTRES), []
    *tilt, constant = _tilt(features, torch.stack([one.true for one in own]).clamp(max=10.0))
    return _calibration(own, [math.exp(constant)], tilt, features.tolist()), tilt


def _tilt(features: Tensor, losses: Tensor) -> list[float]:
    """Weights of features [T, F] and a constant that give the log of the sharpness with the least `losses` [T, K]."""
    grid = CANDIDATES.double().log()
    x = torch.cat([features, torch.ones(len(features), 1).to(features)], -1)
    weights = torch.zeros(x.shape[1], dtype=torch.float64)
    weights[-1] = grid[losses.mean(0).argmin()]
    weights.requires_grad_()
    optimiser = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        place = ((x @ weights - grid[0]) / (grid[1] - grid[0])).clamp(0, len(grid) - 1.001)  # [T]
        below = place.detach().floor().long()
        left, right = (losses.gather(1, (below + i)[:, None]).squeeze(1) for i in (0, 1))
        share = place - below
        total = (left * (1 - share) + right * share).sum() + 0.5 * TILT_PENALTY * weights[:-1].square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.enable_grad():
        optimiser.step(loss)  # type: ignore[no-untyped-call]
    return [float(f"{w:.4g}") for w in weights.tolist()]


def _calibration(
    own: Sequence[Experience],
    centres: Sequence[float],
    tilt: Sequence[float] = (),
    standard: Sequence[Sequence[float]] | None = None,
) -> CalibrationPrior:
    """The prior, of those with these centres, under which calibrated answers to queries were best."""
    left_out = [one for one in own if one.left_out]
    alone = [one for one in own if not one.left_out]
    middle = len(CANDIDATES) // 2
    untold = torch.stack([one.true.clamp(max=10.0) for one in alone]).mean(0).argmin().item() if alone else middle
    known = CalibrationPrior(centre=centres[0], untold=float(f"{CANDIDATES[int(untold)].item():.4g}"))
    if not left_out:
        return known
    features = [f for one, f in zip(own, standard or [()] * len(own), strict=True) if one.left_out]
    true = torch.stack([one.true.clamp(max=10.0) for one in left_out])  # [T, K]
    priors = [replace(known, centre=float(f"{c:.4g}"), examples=b) for c in centres for b in BELIEFS]

    if not tilt:
        return min(priors, key=lambda prior: true.gather(1, _all_chosen(left_out, prior)[:, None]).mean().item())
    own_priors = [[tilted(prior, tilt, f) for f in features] for prior in priors]
    curves = torch.stack([one.told for one in left_out])
    losses = [true.gather(1, _likeliest_each(curves, each)[:, None]).mean().item() for each in own_priors]
    return priors[losses.index(min(losses))]


def standardised(features: Sequence[float], centre: Sequence[float], scale: Sequence[float]) -> list[float]:
    """In deviations from those of past tasks."""
    return [(f - c) / s for f, c, s in zip(features, centre, scale, strict=True)]


def chosen_calibration(one: Experience, prior: CalibrationPrior) -> int:
    """Which of `CANDIDATES` calibrates this task."""
    return int(_all_chosen([one], prior)) if one.left_out else nearest(prior.untold)


def _all_chosen(some: Sequence[Experience], prior: CalibrationPrior) -> Tensor:
    """Which of `CANDIDATES` calibrates each of several tasks of one kind, whose examples were left out, [T]."""
    told = torch.stack([one.told for one in some])  # [T, K]
    if some[0].task == "classification":
        return likeliest(told, prior)
    # mean of z²/2f + log(f)/2: the curve's value at two factors tells the mean of z², from which the factor follows
    n = torch.tensor([one.left_out for one in some], dtype=torch.float64)
    f, g = CANDIDATES[0].item(), CANDIDATES[-1].item()
    squared = 2 * ((told[:, 0] - told[:, -1]) / n + 0.5 * math.log(g / f)) / (1 / f - 1 / g)
    factor = (n * squared + prior.examples * prior.centre) / (n + prior.examples)
    return (CANDIDATES.log() - factor.clamp(min=1e-9).log()[:, None]).abs().argmin(-1)


def nearest(calibration: float) -> int:
    """The index of the closest of `CANDIDATES`."""
    return int((CANDIDATES.log() - math.log(max(calibration, 1e-9))).abs().argmin())


def _likeliest_each(curves: Tensor, priors: Sequence[CalibrationPrior]) -> Tensor:
    """Which of `CANDIDATES` is best by each curve [T, K] and a prior of its own, [T]."""
    centres = torch.tensor([prior.centre for prior in priors], dtype=torch.float64).log()[:, None]
    examples = torch.tensor([prior.examples for prior in priors], dtype=torch.float64)[:, None]
    return (curves + 0.5 * examples * (CANDIDATES.log() - centres).square()).argmin(-1)

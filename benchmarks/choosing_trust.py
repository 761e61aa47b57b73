"""Combinations beside their members, and how far models are right about themselves: a part of `benchmarks.choosing`."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.choosing_trials import COMBINED, THREE, Said, Trial, hits, score
from meta_core.conformal import strangeness, threshold
from meta_core.errors import InvalidParameter
from meta_core.evaluation import expected_calibration_error
from meta_core.types import Categorical, Gaussian, Prediction

HALVINGS = 10
"""Of the queries of a setting, to tell the best member by one half and compare with it on the other."""


def fusion(task: str, said: Sequence[tuple[Trial, dict[str, Said]]]) -> Iterator[dict[str, Any]]:
    """Combinations beside the best of their members, by dataset and shots.

    The best by hindsight is the luckiest too; beside it stands the one that was best on the other half of the queries
    (of classes), or on the other tasks (of targets).
    """
    members = THREE[task]  # type: ignore[index]
    for name in (f"{combined} of {len(members)}" for combined in COMBINED):
        gains, fair, better = [], [], []
        groups: dict[Any, list[tuple[Trial, dict[str, Said]]]] = defaultdict(list)
        for trial, by in said:
            groups[trial.source.dataset, trial.shots].append((trial, by))
        for (_, shots), some in groups.items():

            def quality(who: str, some: list[tuple[Trial, dict[str, Said]]] = some) -> float:
                if task == "classification":
                    return 100 * torch.cat([hits(by[who].sure, t.episode.y) for t, by in some]).mean().item()
                return -float(np.mean([score(by[who], t) for t, by in some]))

            gain = quality(name) - max(quality(member) for member in members)
            gains.append(gain)
            fair.append(fair_gain(qualities(name, some), [qualities(member, some) for member in members]))
            better += [fair[-1] > 0] if shots >= 5 else []
        yield {
            "task": task,
            "combination": name,
            "gain over best member": float(np.mean(gains)),
            "gain over the member best on other queries": float(np.nanmean(fair)),
            "better at 5 shots and more": float(np.mean(better)),
            "settings": len(gains),
        }


def qualities(who: str, some: Sequence[tuple[Trial, dict[str, Said]]]) -> Tensor:
    """Points of each query of classes; of targets minus the score of each task."""
    if some[0][0].episode.support.task == "classification":
        return 100 * torch.cat([hits(by[who].sure, t.episode.y) for t, by in some])
    return torch.tensor([-score(by[who], t) for t, by in some])


def fair_gain(combined: Tensor, members: Sequence[Tensor]) -> float:
    """Over the member that is best on the other half, a mean over halvings; not a number where there is but one."""
    rng = torch.Generator().manual_seed(0)
    gains = []
    for _ in range(HALVINGS if len(combined) > 1 else 0):
        halves = torch.randperm(len(combined), generator=rng).tensor_split(2)
        for told, asked in (halves, halves[::-1]):
            best = max(members, key=lambda one: one[told].mean().item())
            gains.append((combined[asked].mean() - best[asked].mean()).item())
    return float(np.mean(gains)) if gains else math.nan


def trust(task: str, said: Sequence[tuple[Trial, dict[str, Said]]]) -> Iterator[dict[str, Any]]:
    """Calibration, coverage, and leaving one out against the truth, of what `auto` made."""
    some = [(trial, by["auto"]) for trial, by in said if trial.shots >= 5 and by["auto"].held_out is not None]
    conformal = []
    for trial, one in some:
        try:
            limit = threshold(strangeness(one.held_out, one.calibration), 0.9)
        except InvalidParameter:
            continue
        y = trial.episode.y
        strange = strangeness((one.plain, y), one.calibration)
        conformal.append(np.mean(np.array(strange) <= limit + 1e-9))
    yield {"task": task, "conformal coverage of 0.9": float(np.mean(conformal)), "tasks": len(conformal)}
    if task == "regression":
        for few, points in ((True, "at most 10 points"), (False, "more points")):
            inside, normal = [], []
            for trial, by in said:
                one = by["auto"]
                assert isinstance(one.sure, Gaussian)
                if (trial.shots <= 10) == few:
                    z = (trial.episode.y - one.sure.mean).abs() / one.sure.variance.sqrt()
                    inside.append((z <= one.width).double().mean().item())
                    normal.append((z <= 1.645).double().mean().item())
            yield {"intervals": points, "covered": float(np.mean(inside)), "normal": float(np.mean(normal))}
        return
    for modality in dict.fromkeys(trial.source.base.spec.modality for trial, _ in some):
        of_it = [(t, one) for t, one in some if t.source.base.spec.modality == modality]
        before, after = (ece([(getattr(one, which), t.episode.y) for t, one in of_it]) for which in ("raw", "sure"))
        yield {"modality": modality, "ece before": before, "ece after": after, "tasks": len(of_it)}
    left_out = np.array([hits(one.held_out[0], one.held_out[1]).mean().item() for _, one in some if one.held_out])
    true = np.array([hits(one.sure, t.episode.y).mean().item() for t, one in some])
    bias = 100 * float((left_out - true).mean())
    yield {"left out against true accuracy": float(np.corrcoef(left_out, true)[0, 1]), "bias": bias, "tasks": len(true)}


def ece(answers: Sequence[tuple[Prediction, Tensor]]) -> float:
    """Expected calibration error (15 bins) of all answers together, in %."""
    sure = torch.cat([p.log_probabilities.amax(-1).exp() for p, _ in answers if isinstance(p, Categorical)])
    return 100 * expected_calibration_error(sure.float(), torch.cat([hits(p, y) for p, y in answers]).float())

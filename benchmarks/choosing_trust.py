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
EVEN = {True: "even", False: "uneven"}
SIMULATIONS = 200
"""Of the truth, were the answers calibrated."""


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
        before, after = ([(getattr(one, which), t.episode.y) for t, one in of_it] for which in ("raw", "sure"))
        yield {
            "modality": modality,
            "ece before": ece(before),
            "ece after": ece(after),
            "ece of chance": ece_of_chance(after),
            "tasks": len(of_it),
            "answers": sum(len(y) for _, y in after),
        }
    for even in (True, False):
        yield left_out_and_true([(t, one) for t, one in some if t.even == even]) | {"classes": EVEN[even]}


def left_out_and_true(some: Sequence[tuple[Trial, Said]]) -> dict[str, Any]:
    """Correlation over tasks of the accuracy by leaving one out with that of the queries, and its bias in points.

    The latter once more of queries whose classes are as frequent as among the left out, which are those of the support.
    """
    told, true, alike = [], [], []
    for trial, one in some:
        assert one.held_out is not None
        y, right = trial.episode.y, hits(one.sure, trial.episode.y)
        frequent = torch.bincount(one.held_out[1], minlength=int(y.max()) + 1).double()[y]
        told.append(hits(*one.held_out).mean().item())
        true.append(right.mean().item())
        alike.append((frequent @ right / frequent.sum()).item())
    row: dict[str, Any] = {"tasks": len(some)}
    for against, found in (("true accuracy", true), ("true accuracy of such classes", alike)):
        row[f"left out against {against}"] = float(np.corrcoef(told, found)[0, 1])
        row[f"bias against {against}"] = 100 * float(np.mean(np.array(told) - found))
    return row


def ece(answers: Sequence[tuple[Prediction, Tensor]]) -> float:
    """Expected calibration error (15 bins) of all answers together, in %."""
    right = torch.cat([hits(p, y) for p, y in answers]).float()
    return 100 * expected_calibration_error(confidences(answers), right)


def ece_of_chance(answers: Sequence[tuple[Prediction, Tensor]]) -> float:
    """The same in the mean if each answer were right exactly as often as it is sure: what so few cannot tell."""
    sure, rng = confidences(answers), torch.Generator().manual_seed(0)
    drawn = (torch.bernoulli(sure, generator=rng) for _ in range(SIMULATIONS))
    return 100 * float(np.mean([expected_calibration_error(sure, right) for right in drawn]))


def confidences(answers: Sequence[tuple[Prediction, Tensor]]) -> Tensor:
    """The probability of the class that is answered, for each query of all tasks."""
    found = [p.log_probabilities.amax(-1).exp() for p, _ in answers if isinstance(p, Categorical)]
    return torch.cat(found).float().clamp(max=1.0)

"""Which learner to take: what leaving one out says of each, combined with what past tasks say."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from meta_core.base import Base
from meta_core.calibration import CANDIDATES, CalibrationPrior
from meta_core.errors import CorruptArtifact, NotFound
from meta_core.ids import SELECTION_KEY
from meta_core.learner import Learner, learners
from meta_core.store import Store
from meta_core.task_features import NAMES
from meta_core.types import Task

SHIPPED = Path(__file__).parent / "selection.json"
LEAST = 0.02
"""Nats of a classification below which differences of the loss count no more: all are as good as certain."""
TRAINED = "trained"
"""Name under which experience with the learners of base models is kept that were meta-trained there."""
CHEAP: dict[Task, tuple[str, ...]] = {
    "classification": ("ridge", "gp", "simpleshot", "matching", "logistic"),
    "regression": ("ridge", "gp"),
}
"""Learners that are looked at on any base model with embeddings, where nobody names others."""
COSTLY: dict[Task, tuple[str, ...]] = {"classification": ("forest",), "regression": ("forest",)}
"""Those that are looked at where time allows."""
STACK = "stack"
"""Of the best of those."""
MOST_DIMENSIONS = {"mahalanobis": 128}
"""Of embeddings, beyond which a learner's covariances cost too much."""


def takes_any_embeddings(name: str) -> bool:
    """Whether a learner works with every base model that has embeddings."""
    cls = learners[name]
    return cls.encode is Learner.encode and not cls.needs_meta_training and not cls.adapts_body


def known_as(base: Base, name: str, task: Task) -> str:
    """The name under which experience with a learner on a base model is kept."""
    return TRAINED if base.trained_head and name == base.spec.learners.get(task, ("", {}))[0] else name


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What past tasks tell of one learner.

    `weights` map the standardised task features and a constant to the expected score of `scored`; `cost` maps
    (log examples, log dimension, log outputs, 1) to the log of the milliseconds that scoring it takes. `residuals` are
    quantiles, at even levels, of how many calibrated standard deviations targets lay from their means. `tilt` maps the
    standardised features to how far the log of the usual calibration lies from that of the average task.
    """

    weights: list[float]
    cost: list[float]
    calibration: CalibrationPrior
    tasks: int
    residuals: list[float] = field(default_factory=list)
    tilt: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Expectations by task and learner; how far to trust leaving one out against them; where all of it came from.

    `noise` is the number of left-out examples that say as much as the expectation does.
    """

    expectations: dict[str, dict[str, Expectation]]
    noise: dict[str, float]
    centre: dict[str, list[float]]
    scale: dict[str, list[float]]
    provenance: dict[str, Any] = field(default_factory=dict)

    def prior(self, task: Task, features: Sequence[float]) -> dict[str, float]:
        """The expected score of every known learner."""
        standard = self.standard(task, features)
        return {
            name: sum(w * f for w, f in zip(known.weights, [*standard, 1.0], strict=True))
            for name, known in self.expectations[task].items()
        }

    def standard(self, task: Task, features: Sequence[float]) -> list[float]:
        """The features in deviations from those of past tasks."""
        return [(f - c) / s for f, c, s in zip(features, self.centre[task], self.scale[task], strict=True)]

    def milliseconds(self, task: Task, name: str, features: Sequence[float]) -> float:
        """How long scoring a learner takes, roughly; for an unknown one, forever."""
        known = self.expectations[task].get(name)
        return (
            math.exp(sum(w * f for w, f in zip(known.cost, [*features[:3], 1.0], strict=True))) if known else math.inf
        )

    def calibration(self, task: Task, name: str, features: Sequence[float]) -> CalibrationPrior:
        """Where the calibration of a learner usually lies on tasks with such features."""
        known = self.expectations[task].get(name)
        return tilted(known.calibration, known.tilt, self.standard(task, features)) if known else CalibrationPrior()

    def residuals(self, task: Task, name: str) -> list[float]:
        """Quantiles of the standardised residuals of a learner; of an unknown one, those of all."""
        known = self.expectations[task].get(name)
        return known.residuals if known else [r for one in self.expectations[task].values() for r in one.residuals]

    def trust(self, task: Task, examples: int) -> float:
        """The weight of what that many left-out examples tell against what is expected."""
        return examples / (examples + self.noise[task])

    def combined(
        self, task: Task, prior: Mapping[str, float], told: Mapping[str, float], examples: int
    ) -> dict[str, float]:
        """Scores of the learners that were left out with, between expectation and what they told.

        Both are taken relative to their means over these learners: how hard a task is does not matter for the choice.
        """
        if not told:
            return dict(prior)
        kept = {name: prior[name] for name in told}
        expected, found = _mean(kept), _mean(told)
        trust = self.trust(task, examples)
        return {name: found + (1 - trust) * (kept[name] - expected) + trust * (told[name] - found) for name in told}

    def dumps(self) -> bytes:
        """As JSON."""
        return json.dumps({"features": list(NAMES), **asdict(self)}, indent=1, allow_nan=False).encode()


def tilted(prior: CalibrationPrior, tilt: Sequence[float], standard: Sequence[float]) -> CalibrationPrior:
    """The belief about a task of such standardised features, within what can be chosen."""
    if not tilt:
        return prior
    log_centre = math.log(prior.centre) + sum(w * f for w, f in zip(tilt, standard, strict=True))
    centre = min(max(math.exp(log_centre), CANDIDATES[0].item()), CANDIDATES[-1].item())
    return replace(prior, centre=centre, untold=centre)


def load_selection(content: bytes | None = None) -> Selection:
    """A selection from its JSON; the one that comes with the program if there is none. Raises `CorruptArtifact`."""
    values = json.loads(SHIPPED.read_bytes() if content is None else content)
    if values.pop("features", None) != list(NAMES):
        raise CorruptArtifact("this selection was learned from other task features; run learn-selection again")
    values["expectations"] = {
        task: {
            name: Expectation(**{**known, "calibration": CalibrationPrior(**known["calibration"])})
            for name, known in by_name.items()
        }
        for task, by_name in values["expectations"].items()
    }
    return Selection(**values)


def selection_of(store: Store) -> Selection:
    """What a deployment has learned, else what comes with the program."""
    try:
        return load_selection(store.get(SELECTION_KEY))
    except NotFound:
        return load_selection()


def scored(loss: float, task: Task) -> float:
    """The loss of a task in nats on the scale on which learners are compared.

    The logarithm for classes, so that a task on which all do badly does not count for more than one on which all do
    well; for targets, whose likelihood has a scale already, the loss itself.
    """
    return math.log(max(loss, 0.0) + LEAST) if task == "classification" else min(loss, 10.0)


def unscored(score: float, task: Task) -> float:
    """The loss of a score."""
    return max(math.exp(score) - LEAST, 0.0) if task == "classification" else score


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values)

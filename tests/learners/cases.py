"""Every learner with every kind of task it does, and small float64 tasks to try it on."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from meta_core.backbone import build_backbone
from meta_core.episodes import Size, TaskSource
from meta_core.learner import Learner, build_learner, learners
from meta_core.types import Categorical, Episode, Prediction, State, Support, Task

MORE_SETTINGS: Mapping[str, list[dict[str, Any]]] = {
    "ridge": [{"penalty": 0.5}],
    "maml": [{"first_order": True}, {"layer_rates": 5, "multi_step": 0.5, "standardised": True}],
    "anil": [{"first_order": True}, {"standardised": True}],
    "cnp": [{"targets": "scaled"}],
    "finetune": [{"head": "mlp"}, {"body": "last", "body_steps": 2, "folds": 2, "steps": 5}],
    "clusters": [{"prototypes": 1}],
    "stack": [{"members": ["ridge", "tree"]}],
    "cosine": [{"first_order": True}],
    "incontext": [{"closed_forms": True}],
    "gp": [{"length": 1.0}],
    "svm": [{"kernel": "linear"}],
}
"""Settings tried beside the defaults, where they make a learner another algorithm."""

BODIES: Mapping[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "identity": ((4,), {}),
    "mlp": ((4,), {"width": 16, "layers": 1}),
    "conv4": ((1, 16, 16), {"width": 16, "norm": "group"}),
}

Case = tuple[str, dict[str, Any], Task]


def cases(more: Mapping[str, list[dict[str, Any]]] = MORE_SETTINGS) -> list[Any]:
    """Each registered learner with its defaults and in `more` settings, for each task it does."""
    return [
        pytest.param((name, values, task), id="-".join([name, task, *map(str, values.values())]))
        for name in learners
        for values in ({}, *more.get(name, []))
        for task in sorted(learners[name].tasks)
    ]


def build(case: Case, body: str = "mlp", shape: tuple[int, ...] | None = None) -> Learner:
    """A fresh learner with seeded weights, ready to answer."""
    name, values, task = case
    default_shape, body_values = BODIES[body]
    torch.manual_seed(0)
    return build_learner(name, build_backbone(body, shape or default_shape, body_values), values, task).double().eval()


def draw(task: Task, shape: Sequence[int] = (4,), counts: Sequence[int] = (3, 2, 4), queries: int = 6) -> Episode:
    """A task of unbalanced classes, or of as many points with two targets."""
    rng = torch.Generator().manual_seed(sum(counts))
    n = sum(counts)
    x = torch.randn(n + queries, *shape, generator=rng, dtype=torch.float64)
    if task == "regression":
        y = torch.randn(n + queries, 2, generator=rng, dtype=torch.float64)
        return Episode(Support(x[:n], y[:n], None), x[n:], y[n:])
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    wanted = torch.randint(len(counts), (queries,), generator=rng)
    return Episode(Support(x[:n], labels, len(counts)), x[n:], wanted)


def encoded(learner: Learner, support: Support) -> Support:
    """The support as `adapt` takes it."""
    return Support(learner.encode(support.x), support.y, support.ways)


def adapted(learner: Learner, support: Support) -> State:
    """The state of a support set of inputs."""
    return learner.adapt(encoded(learner, support))


def answers(prediction: Prediction) -> Tensor:
    """All numbers of a prediction, [Q, C] or [Q, T]; a variance counts as much as a mean."""
    if isinstance(prediction, Categorical):
        return prediction.log_probabilities
    return torch.stack([prediction.mean, prediction.variance])


class Clusters(TaskSource):
    """Classes are well separated balls in four dimensions."""

    task: Task = "classification"
    shape = (4,)

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        centres = 3 * torch.randn(size.ways, 4, generator=rng)
        labels = torch.arange(size.ways).repeat(size.shots + size.queries)
        x = centres[labels] + 0.2 * torch.randn(len(labels), 4, generator=rng)
        n = size.ways * size.shots
        return Episode(Support(x[:n], labels[:n], size.ways), x[n:], labels[n:])


class Lines(TaskSource):
    """y = a·x + b with a, b ~ N(0, 1)."""

    task: Task = "regression"
    shape = (1,)

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        slope, intercept = torch.randn(2, generator=rng)
        x = 4 * torch.rand(size.shots + size.queries, 1, generator=rng) - 2
        y = slope * x + intercept
        return Episode(Support(x[: size.shots], y[: size.shots], None), x[size.shots :], y[size.shots :])

"""Evaluations: a base model on tasks of a dataset, an adapted model on examples of one."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from meta_core.adapted import AdaptedModel
from meta_core.base import Base
from meta_core.config import Config
from meta_core.dataset import Dataset, build_dataset
from meta_core.datasets.uploaded import NamedClasses, Uploaded
from meta_core.engine import Engine
from meta_core.episodes import Size
from meta_core.errors import InvalidExample, InvalidParameter, InvalidTask, shown
from meta_core.evaluation import evaluate
from meta_core.grading import Grades, confusion_matrix, confusions, grade
from meta_core.labels import Label, class_name, read_labels
from meta_core.learner import concatenate
from meta_core.store import Store
from meta_core.types import Categorical, Episode, Prediction
from meta_core.uploads import DATASET, resolved

TOGETHER = 256
Report = Callable[[int, int | None], None]
"""Told how many tasks or examples are done, and of how many where that is known."""


class EvaluationSpec(Config):
    """What is to be graded on what."""

    base: str | None = Field(None, description="base model, name or name@version")
    model: str | None = Field(None, description="or an adapted model")
    dataset: str
    dataset_params: dict[str, Any] = Field(default_factory=dict)
    split: Literal["train", "validation", "test"] = "test"
    ways: int = Field(5, ge=2, le=1000)
    shots: int = Field(1, ge=1, le=1000)
    queries: int = Field(15, ge=1, le=1000)
    tasks: int = Field(600, ge=1, le=100_000)
    seed: int = Field(0, ge=0)
    learner: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)

    def resolved(self, store: Store, tenant: str, base: Base) -> "EvaluationSpec":
        """The same with what is known of its dataset, read as the base model under test reads its inputs.

        Raises `InvalidTask` where that is known to hold another modality.
        """
        values = resolved(store, tenant, self.dataset, self.dataset_params)
        if self.dataset == DATASET:
            _check_modality(base.reference, base.spec.modality, self.dataset, values["modality"])
            values = {"preprocessing": base.spec.modality_config, **values}
        return self.model_copy(update={"dataset_params": values})


def grade_base(engine: Engine, spec: EvaluationSpec, tenant: str, folder: Path, report: Report) -> Grades:
    """Scores of a base model on tasks drawn from a dataset. Raises `InvalidTask` where the two do not fit."""
    assert spec.base is not None
    base = engine.catalogue.get(spec.base, tenant)
    dataset = _dataset(spec, folder, base.spec.modality, base.reference)
    if isinstance(dataset, Uploaded) and base.spec.description is not None:
        dataset.describe_by(base.spec.description)
    source = dataset.source(spec.split)
    own, config = base.spec.learners.get(source.task, ("", {}))
    name = spec.learner or own
    if not name:
        raise InvalidTask(f"{base.reference} does {' and '.join(base.spec.learners)}; this dataset is {source.task}")
    values = {**config, **spec.params} if name == own else spec.params
    learner = base.learner_for(name, values, source.shape, source.task).to(engine.device)
    size = Size(ways=spec.ways, shots=spec.shots, queries=spec.queries)
    rng = torch.Generator().manual_seed(spec.seed)
    seen = _Seen(source.names) if isinstance(source, NamedClasses) else None
    result = evaluate(
        learner,
        source,
        size,
        spec.tasks,
        rng,
        report=lambda done: report(done, spec.tasks),
        **({"watch": seen.note} if seen else {}),
    )
    scores = {key: value for key, value in asdict(result).items() if value is not None}
    return {"base": base.reference, "learner": name, **scores, **(seen.told() if seen else {})}


def grade_model(engine: Engine, model: AdaptedModel, spec: EvaluationSpec, folder: Path, report: Report) -> Grades:
    """Scores of an adapted model on those examples of an uploaded dataset whose classes it knows."""
    base = engine.catalogue.get(model.base, model.tenant)
    dataset = _dataset(spec, folder, base.spec.modality, model.id)
    if not isinstance(dataset, Uploaded):
        raise InvalidParameter("an adapted model is graded on an uploaded dataset, dst_…, or on labelled queries")
    if dataset.task() != model.task:
        raise InvalidTask(f"{model.id} does {model.task}; the dataset is {dataset.task()}")
    known = {class_name(label) for label in model.classes}
    examples = (one for one in dataset.examples(None) if not known or class_name(one[1]) in known)
    answers: list[Prediction] = []
    labels: list[Label | float] = []
    while batch := list(itertools.islice(examples, TOGETHER)):
        answers.append(engine.judge(model, engine.read(model, [value for value, _ in batch])))
        labels += [label for _, label in batch]
        report(len(labels), None)
    if not labels:
        raise InvalidTask(f"the dataset has no example of the classes of {model.id}: {', '.join(sorted(known))[:300]}")
    return {"model": model.id, **grade(concatenate(answers), truth(model, labels), _names(model))}


def grade_queries(engine: Engine, model: AdaptedModel, inputs: Sequence[Any], labels: Sequence[Any]) -> Grades:
    """Scores of an adapted model on labelled queries. Raises what reading them does."""
    if len(inputs) != len(labels):
        raise InvalidTask(f"{len(inputs)} inputs but {len(labels)} labels")
    x, y = engine.read(model, inputs), truth(model, labels)
    return {"model": model.id, **grade(engine.judge(model, x), y, _names(model))}


def truth(model: AdaptedModel, labels: Sequence[Any]) -> Tensor:
    """Labels as indices [Q] into the classes of a model, or as its targets [Q, T]. Raises `InvalidExample`."""
    if model.task == "regression":
        return read_labels(labels, "regression").y if len(labels) > 1 else torch.tensor([[float(labels[0])]])
    place = {class_name(label): index for index, label in enumerate(model.classes)}
    for index, label in enumerate(labels):
        if not isinstance(label, str | int | bool) or class_name(label) not in place:
            raise InvalidExample(index, f"{shown(label)} is no class of {model.id}", "labels")
    return torch.tensor([place[class_name(label)] for label in labels])


def _names(model: AdaptedModel) -> list[str]:
    return [class_name(label) for label in model.classes]


def _dataset(spec: EvaluationSpec, folder: Path, modality: str, who: str) -> Dataset:
    dataset = build_dataset(spec.dataset, folder / spec.dataset, spec.dataset_params)
    _check_modality(who, modality, spec.dataset, dataset.modality)
    return dataset


def _check_modality(who: str, reads: str, dataset: str, holds: str) -> None:
    if holds != reads:
        raise InvalidTask(f"{who} reads {reads}; dataset {dataset} holds {holds}")


class _Seen:
    """Which classes were answered with which, over many episodes."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.matrix = torch.zeros(len(names), len(names), dtype=torch.long)

    def note(self, episode: Episode, prediction: Prediction) -> None:
        """Add the answers of one episode."""
        assert episode.members is not None
        assert isinstance(prediction, Categorical)
        classes = episode.members
        answered = classes[prediction.log_probabilities.argmax(-1).cpu()]
        self.matrix += confusion_matrix(classes[episode.y.cpu()], answered, len(self.names))

    def told(self) -> Grades:
        """Confusions and the worst classes."""
        return confusions(self.matrix, self.names)

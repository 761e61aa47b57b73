"""Many tasks at once: encode together, adapt and predict each on its slice."""

import json
import math
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from meta_core import auto
from meta_core.across import bases_named, pinned
from meta_core.adapted import AdaptedModel
from meta_core.ahead import Opened, encoder_of, known_of, task_of
from meta_core.answers import Answer, answers_of
from meta_core.artifact import on_device, pack, unpack
from meta_core.base import Base
from meta_core.built import Built
from meta_core.calibration import calibrated, calibration_of
from meta_core.catalogue import Catalogue
from meta_core.conformal import strangeness
from meta_core.errors import InvalidExample, InvalidTask
from meta_core.grouping import groups
from meta_core.kept import encode_support, to_keep
from meta_core.labels import read_labels
from meta_core.learner import Learner, learners
from meta_core.limits import Limits
from meta_core.modality import Description, Modality
from meta_core.orders import Order, Result
from meta_core.quality import HeldOut, adapt_and_leave_out, scores, sparable
from meta_core.raw import pack_raw
from meta_core.selection import Selection, known_as, load_selection
from meta_core.task_features import task_features
from meta_core.together import encode_together, predict_stacked
from meta_core.transfer import sent
from meta_core.types import Categorical, Gaussian, Prediction, State, Support, Task
from meta_core.unknown import MEANS, class_means, learn_novelty
from meta_core.widths import width_90

USUAL_SIZES = (1, 5, 25)
"""Inputs encoded in one pass for which convolutions are made ready at the start: a query, and usual support sets."""


@dataclass(frozen=True, kw_only=True)
class TaskRequest:
    """A support set as somebody sent it."""

    base: str
    tenant: str | None = None
    inputs: Sequence[Any]
    labels: Sequence[Any]
    learner: str | None = None
    params: Mapping[str, Any] | None = None
    task: Task | None = None
    unlabelled: Sequence[Any] = ()


class Engine:
    """Adapts base models and answers with what came of it, on one device."""

    def __init__(
        self,
        catalogue: Catalogue,
        device: torch.device,
        limits: Limits | None = None,
        selection: Selection | None = None,
        *,
        compiling: bool = False,
    ) -> None:
        self.catalogue = catalogue
        self.device = device
        self.limits = limits or Limits()
        self.selection = selection or load_selection()
        self._built = Built(device, compiling=compiling)
        self._modalities: WeakKeyDictionary[Base, Modality] = WeakKeyDictionary()

    def accept(self, request: TaskRequest) -> tuple[dict[str, Any], bytes]:
        """Check a support set completely; its public record so far, and the artifact that keeps it.

        Raises the error that names what is wrong: `NotFound`, `InvalidTask`, `InvalidExample`, `InvalidParameter`,
        `LimitExceeded`.
        """
        self.limits.check("examples", len(request.inputs) + len(request.unlabelled), "max_examples")
        if len(request.inputs) != len(request.labels):
            raise InvalidTask(f"{len(request.inputs)} inputs but {len(request.labels)} labels")
        if not len(request.inputs):
            raise InvalidTask("the support set is empty; it needs at least two labelled examples")
        base = self.catalogue.get(request.base, request.tenant)
        labels = read_labels(request.labels, request.task or _only_task(base))
        self.limits.check("classes", len(labels.classes or ()), "max_ways")
        modality = self._modality(base)
        description = base.spec.description or modality.describe(request.inputs)
        x = modality.read(request.inputs, description)
        tensors = {"x": x, "y": labels.y} | _read_unlabelled(request.unlabelled, modality, description)
        if modality.recover(x[:1]) is None:
            tensors |= pack_raw([*request.inputs, *request.unlabelled])
        name, params = self.settle(
            base,
            learner=request.learner,
            params=request.params,
            task=labels.task,
            shape=tuple(x.shape[1:]),
            unlabelled=len(request.unlabelled),
            tenant=request.tenant,
        )
        record = {
            "base": base.reference,
            "learner": name,
            "params": params,
            "task": labels.task,
            "modality": base.spec.modality,
            **labels.counted(),
            "unlabelled": len(request.unlabelled),
        }
        header = {"kind": "support", "base": base.reference, "description": description}
        return record, pack(tensors, header)

    def settle(
        self,
        base: Base,
        *,
        learner: str | None,
        params: Mapping[str, Any] | None,
        task: Task,
        shape: tuple[int, ...],
        unlabelled: int,
        tenant: str | None,
    ) -> tuple[str, dict[str, Any]]:
        """Name and complete parameters of the learner that a request means, for inputs of a shape.

        Raises `NotFound`, `InvalidParameter` or `InvalidTask` when it cannot be had.
        """
        name, values = _choice(base, learner, params, task, unlabelled)
        if name == auto.NAME:
            auto.candidates(base, task, auto.AutoConfig(**values))
            _check_shape(base, shape)
        else:
            values = pinned(base, values, lambda reference: self.catalogue.get(reference, tenant))
            others = self._others(values, tenant)
            for one in (base, *others):
                _check_shape(one, shape)
            self._built.learner(base, name, json.dumps(values), shape, task, others=others)
        if unlabelled and (name == auto.NAME or not learners[name].uses_unlabelled):
            able = ", ".join(known for known in learners if learners[known].uses_unlabelled)
            raise InvalidTask(f"learner {name} makes no use of unlabelled inputs; these do: {able}")
        return name, values

    def adapt_order(self, order: Order, support: bytes) -> Result:
        """Carry out an accepted adapt: the `ready` result with the state, its scores and its calibration."""
        return self.adapt(self.open(order, support))

    def open(self, order: Order, support: bytes) -> Opened:
        """Read the support set of an accepted adapt, and get its learner ready."""
        started = time.perf_counter()
        tensors, header = unpack(support)
        asked = order.spec["record"]
        base = self.catalogue.get(asked["base"], order.tenant)
        name, params = encoder_of(base, asked)
        learner = self._built.learner(
            base,
            name,
            json.dumps(params),
            tuple(tensors["x"].shape[1:]),
            asked["task"],
            others=self._others(params, order.tenant),
        )
        return Opened(order, base, learner, tensors, header, time.perf_counter() - started)

    @torch.no_grad()
    def adapt(self, opened: Opened) -> Result:
        """The same for an order whose support set was read."""
        started = time.perf_counter()
        tensors, learner, asked = opened.tensors, opened.learner, opened.order.spec["record"]
        name, params, considered = asked["learner"], asked["params"], {}
        encoded = opened.encoded or encode_support(learner, tensors, self.device)
        task = task_of(opened, encoded)
        if name == auto.NAME:
            learner, choice = self._chosen(opened, task, auto.AutoConfig(**params))
            name, params = choice.learner, choice.params
            considered = {"candidates": choice.considered}
            features = choice.features
            known = opened.told if choice.told is None and name == opened.learner.name else None
            state, held_out = known or choice.adapt(learner, task)
        else:
            features = task_features(task)
            state, held_out = opened.told or adapt_and_leave_out(learner, task)
        base = opened.base
        usual = self.selection.calibration(task.task, known_as(base, name, task.task), features)
        calibration = calibration_of(*held_out, usual) if held_out else usual.untold
        quality = scores(held_out, calibration) | considered
        _check_finite(state, calibration, quality)
        more, tensors_of_classes = self._trust(task, known_as(base, name, task.task), held_out, calibration)
        details = more | {
            "params": params,
            "shape": tuple(tensors["x"].shape[1:]),
            "description": opened.header["description"],
            "calibration": calibration,
            "left_out": strangeness(held_out, calibration),
            **({"auto": asked["params"]} if asked["learner"] == auto.NAME else {}),
        }
        kept = to_keep(learner, tensors, encoded) if asked.get("keep_support", True) else {}
        seconds = round(opened.seconds + time.perf_counter() - started, 6)
        record = {"learner": name, "params": params, "scores": quality, "seconds": seconds}
        return Result(status="ready", record=record, details=details, tensors={**state, **tensors_of_classes, **kept})

    def _trust(
        self, task: Support, known: str, held_out: HeldOut | None, calibration: float
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What tells unknown inputs, or how wide intervals are: details, and tensors, of an adapted model."""
        if task.ways is None:
            usual = self.selection.residuals(task.task, known)
            return {"width": width_90(held_out, calibration, usual)}, {}
        told = None
        if held_out is not None:
            answers = calibrated(held_out[0], calibration)
            assert isinstance(answers, Categorical)
            told = sparable(task, len(held_out[1])), answers
        return {"unknown": vars(learn_novelty(task, told))}, {MEANS: class_means(task)}

    def _chosen(self, opened: Opened, task: Support, config: auto.AutoConfig) -> tuple[Learner, auto.Choice]:
        base, shape = opened.base, tuple(opened.tensors["x"].shape[1:])

        def build(name: str, params: Mapping[str, Any]) -> Learner:
            return self._built.learner(base, name, json.dumps(params), shape, task.task)

        names = auto.candidates(base, task.task, config)
        choice = auto.choose(
            names,
            build,
            task,
            self.selection,
            base=base,
            budget_ms=config.budget_ms,
            known=known_of(opened, task),
        )
        return build(choice.learner, choice.params), choice

    def read(self, model: AdaptedModel, inputs: Sequence[Any]) -> Tensor:
        """Queries of one adapted model as a tensor [Q, *shape]. Raises `InvalidExample` or `LimitExceeded`."""
        self.limits.check("inputs", len(inputs), "max_queries")
        if not len(inputs):
            raise InvalidTask("there are no inputs to answer; send at least one")
        return self._modality(self.catalogue.get(model.base, model.tenant)).read(inputs, model.description)

    def read_together(self, requests: Sequence[tuple[AdaptedModel, Sequence[Any]]]) -> list[Tensor]:
        """The queries of each of many adapted models as `read` has them; arrays of one kind are read as one.

        Raises what `read` does, without telling for which of the requests.
        """
        read: dict[int, Tensor] = {}
        for positions in groups(_reading(model, inputs) for model, inputs in requests).values():
            model, inputs = requests[positions[0]]
            if len(positions) == 1:
                read[positions[0]] = self.read(model, inputs)
                continue
            arrays = [requests[i][1] for i in positions]
            x = self.read(model, np.concatenate(arrays))  # type: ignore[arg-type]
            read |= zip(positions, torch.split(x, [len(array) for array in arrays]), strict=True)
        return [read[i] for i in range(len(requests))]

    @torch.inference_mode()
    def predict(self, requests: Sequence[tuple[AdaptedModel, Tensor]]) -> list[list[Answer]]:
        """Answers to the queries of many adapted models, in one encoding per base model."""
        learner_of = {model.kind: self.learner_of(model) for model in {m.kind: m for m, _ in requests}.values()}
        by = [learner_of[model.kind] for model, _ in requests]
        encoded = self._encoded(by, requests)
        answers: list[list[Answer]] = [[] for _ in requests]
        for learner, positions in groups(by).items():
            models = [requests[i][0] for i in positions]
            states = [on_device(model.state, self.device) for model in models]
            calibrations = [model.calibration for model in models]
            for stack in predict_stacked(learner, states, [encoded[i] for i in positions], calibrations):
                for task, told in zip(stack.tasks, answers_of(stack, [models[i] for i in stack.tasks]), strict=True):
                    answers[positions[task]] = told
        return answers

    @torch.no_grad()
    def judge(self, model: AdaptedModel, x: Tensor) -> Prediction:
        """What an adapted model believes of its queries [Q, *shape], on the CPU, for grading."""
        learner = self.learner_of(model)
        prediction = learner.predict(on_device(model.state, self.device), learner.encode(sent(x, self.device)))
        sure = calibrated(prediction, model.calibration)
        if isinstance(sure, Gaussian):
            return Gaussian(sure.mean.cpu(), sure.variance.cpu())
        return Categorical(sure.log_probabilities.cpu())

    def _encoded(self, by: Sequence[Learner], requests: Sequence[tuple[AdaptedModel, Tensor]]) -> list[Tensor]:
        """The queries of each request, encoded together with all that the same weights encode."""
        encoder_of = {learner: learner.backbone if learner.only_embeds else learner for learner in set(by)}
        encoders = [encoder_of[learner] for learner in by]
        encoded: dict[int, Tensor] = {}
        for positions in groups(encoders).values():
            inputs = [requests[i][1] for i in positions]
            encoded |= zip(positions, encode_together(by[positions[0]], inputs, self.device), strict=True)
        return [encoded[i] for i in range(len(requests))]

    def learner_of(self, model: AdaptedModel) -> Learner:
        """The learner that made an adapted model."""
        base = self.catalogue.get(model.base, model.tenant)
        others = self._others(model.params, model.tenant)
        return self._built.learner(base, model.learner, model.settings, model.shape, model.task, others=others)

    def warm(self) -> None:
        """Load the newest version of every base model of fixed input shape, and run it on usual numbers of inputs."""
        for base in self.catalogue.list():
            if not base.spec.shape:
                continue
            for task, (name, _) in base.spec.learners.items():
                learner = self._built.learner(base, name, json.dumps(base.params_of(name, task)), base.spec.shape, task)
                with torch.no_grad():
                    for size in USUAL_SIZES:
                        learner.encode(torch.zeros(size, *base.spec.shape, device=self.device))

    def _modality(self, base: Base) -> Modality:
        """The reader of a base model's inputs, made once: checking its settings takes longer than reading one input."""
        if base not in self._modalities:
            self._modalities[base] = base.modality(self.limits)
        return self._modalities[base]

    def _others(self, params: Mapping[str, Any], tenant: str | None) -> tuple[Base, ...]:
        """The other base models that settled parameters name."""
        return tuple(self.catalogue.get(reference, tenant) for reference in bases_named(params))


def _check_shape(base: Base, shape: tuple[int, ...]) -> None:
    if base.spec.shape and shape != base.spec.shape:
        raise InvalidTask(f"{base.reference} takes inputs of shape {list(base.spec.shape)}; found {list(shape)}")


def _reading(model: AdaptedModel, inputs: Sequence[Any]) -> Hashable:
    """What arrays have in common that can be read as one; everything else is like nothing."""
    if not isinstance(inputs, np.ndarray) or not len(inputs):
        return object()
    return model.reading, inputs.dtype, inputs.shape[1:]


def _read_unlabelled(inputs: Sequence[Any], modality: Modality, description: Description) -> dict[str, Tensor]:
    """Unlabelled inputs as a tensor, where there are any; an error about one says that it is one of them."""
    try:
        return {"unlabelled": modality.read(inputs, description)} if len(inputs) else {}
    except InvalidExample as error:
        raise InvalidExample(error.index, error.detail, "unlabelled") from None


def _only_task(base: Base) -> Task | None:
    """The kind of task a base model takes when it takes only one: integer targets are then no classes."""
    tasks = list(base.spec.learners)
    return tasks[0] if len(tasks) == 1 and tasks[0] == "regression" else None


def _choice(
    base: Base, learner: str | None, params: Mapping[str, Any] | None, task: Task, unlabelled: int
) -> tuple[str, dict[str, Any]]:
    """Name and complete parameters of the learner that a request means."""
    own, _ = base.spec.learners.get(task, ("", {}))
    if not own and learner in (None, auto.NAME):
        raise InvalidTask(f"{base.reference} does {' and '.join(base.spec.learners)}; the labels ask for {task}")
    name = learner or (own if unlabelled else auto.NAME)
    if name == auto.NAME:
        return name, auto.AutoConfig.parse(params or {}, auto.NAME).model_dump(mode="json")
    return name, base.params_of(name, task, params)


def _check_finite(state: State, calibration: float, quality: dict[str, Any]) -> None:
    numbers = [calibration, *(value for value in quality.values() if isinstance(value, float))]
    if not all(tensor.isfinite().all() for tensor in state.values()) or not all(map(math.isfinite, numbers)):
        raise InvalidTask("nothing finite can be learned from these examples: their numbers are too large or too small")

"""Adapted models example by example: the next version from the support set of the last, a few added or one removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from meta_core import auto
from meta_core.across import bases_named
from meta_core.adapted import AdaptedModel
from meta_core.artifact import Header, on_device, pack, unpack
from meta_core.calibration import calibrated
from meta_core.engine import Engine
from meta_core.errors import InvalidExample, InvalidTask, NotFound, Unusable
from meta_core.ids import result_key
from meta_core.kept import EMBEDDINGS, encode_support, load_support, split_kept
from meta_core.labels import Labels, read_labels
from meta_core.orders import checked_header, next_version
from meta_core.raw import pack_raw, unpack_raw, without_raw
from meta_core.store import Store
from meta_core.suggestion import Suggestion, suggest
from meta_core.types import Support

Record = dict[str, Any]
SAME = ("base", "task", "modality", "unlabelled", "name", "metadata", "keep_support", "expires_at")
"""What a version has in common with the one before it."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """An adapted model with the support set it learned from, `tensors`, as it was read; embeddings among them."""

    record: Record
    details: Record
    tensors: dict[str, Tensor]
    header: Header
    tenant: str

    @property
    def labels(self) -> list[Any]:
        """The labels as they were sent."""
        classes, y = self.record["classes"], self.tensors["y"].tolist()
        return [classes[index] for index in y] if classes else y

    @property
    def unlabelled(self) -> int:
        """How many inputs without label it learned from as well."""
        return len(self.tensors.get("unlabelled", ()))


def load_source(store: Store, tenant: str, id: str) -> Source:
    """A ready model and its support set. Raises `NotFound`, `NotReady`, `Gone`, or `Unusable` where none was kept."""
    found, header = unpack(store.get(result_key(tenant, id)))
    checked_header(header, id)
    try:
        inputs, support_header = load_support(store, tenant, header["record"])
    except NotFound:
        raise Unusable(f"the support set of {id} was not kept; adapt again from the examples") from None
    return Source(
        record=header["record"],
        details=header["details"],
        tensors=inputs | split_kept(found)[1],
        header=support_header,
        tenant=tenant,
    )


def with_examples(
    engine: Engine, source: Source, inputs: Sequence[Any], labels: Sequence[Any], learner: str | None = None
) -> tuple[Record, bytes]:
    """The record and support set of the version that has learned these examples too, which come last.

    Inputs are read as the first version described them. Raises what `Engine.accept` raises.
    """
    if len(inputs) != len(labels):
        raise InvalidTask(f"{len(inputs)} inputs but {len(labels)} labels")
    if not len(inputs):
        raise InvalidTask("there are no examples to add; send at least one")
    before = source.labels
    engine.limits.check("examples", len(before) + len(inputs) + source.unlabelled, "max_examples")
    try:
        together = read_labels([*before, *labels], source.record["task"])
    except InvalidExample as error:
        raise InvalidExample(error.index - len(before), error.detail, error.field) from None
    modality = engine.catalogue.get(source.record["base"], source.tenant).modality(engine.limits)
    x = torch.cat([source.tensors["x"], modality.read(inputs, source.header["description"])])
    record = _record(engine, source, together, learner) | {"change": {"added": len(inputs)}}
    tensors = without_raw(source.tensors) | {"x": x, "y": together.y}
    if bases_named(record["params"]) != bases_named(source.details["params"]):
        tensors = {name: value for name, value in tensors.items() if name not in EMBEDDINGS.values()}
    if (sent := unpack_raw(source.tensors)) is not None:
        tensors |= pack_raw([*sent[: len(before)], *inputs, *sent[len(before) :]])
    return record, pack(tensors, source.header)


def without_example(engine: Engine, source: Source, index: int) -> tuple[Record, bytes]:
    """The record and support set of the version that never saw one example. Raises `NotFound` or `InvalidTask`."""
    labels = source.labels
    if not 0 <= index < len(labels):
        raise NotFound(f"{source.record['id']} has no example {index}; they are 0–{len(labels) - 1}, in their order")
    together = read_labels(labels[:index] + labels[index + 1 :], source.record["task"])
    keep = torch.arange(len(labels)) != index
    tensors = {
        name: value[keep] if name in ("x", EMBEDDINGS["x"]) else value
        for name, value in without_raw(source.tensors).items()
    }
    if (sent := unpack_raw(source.tensors)) is not None:
        tensors |= pack_raw(sent[:index] + sent[index + 1 :])
    record = _record(engine, source, together, None) | {"change": {"removed": index}}
    return record, pack(tensors | {"y": together.y}, source.header)


def _record(engine: Engine, source: Source, labels: Labels, learner: str | None) -> Record:
    engine.limits.check("classes", len(labels.classes or ()), "max_ways")
    base = engine.catalogue.get(source.record["base"], source.tenant)
    name, params = source.record["learner"], source.details["params"]
    if "auto" in source.details:
        name, params = auto.NAME, source.details["auto"]
    if learner is not None:
        name, params = engine.settle(
            base,
            learner=learner,
            params=None,
            task=labels.task,
            shape=tuple(source.details["shape"]),
            unlabelled=source.unlabelled,
            tenant=source.tenant,
        )
    record = {key: source.record[key] for key in SAME if key in source.record}
    if source.header["description"] and base.spec.description is None:
        record["described_by"] = source.record.get("described_by", source.record["id"])
    return {
        **record,
        **labels.counted(),
        **next_version(source.record),
        "learner": name,
        "params": params,
    }


def next_labels(
    engine: Engine, model: AdaptedModel, source: Source | None, inputs: Sequence[Any], count: int
) -> Suggestion:
    """Which of some unlabelled inputs to label for a model, by its support set where that was kept; see `suggest`.

    Raises what `Engine.read` raises.
    """
    x = engine.read(model, inputs)
    learner = engine.learner_of(model)
    support = None
    with torch.no_grad():
        z = learner.encode(x.to(engine.device))
        answers = learner.predict(on_device(model.state, engine.device), z)
        if source is not None:
            encoded = encode_support(learner, source.tensors, engine.device)
            ways = len(model.classes) or None
            support = Support(encoded["x"], source.tensors["y"].to(engine.device), ways)
    return suggest(learner, support, z, calibrated(answers, model.calibration), min(count, len(inputs)))

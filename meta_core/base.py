"""Base models: a meta-trained learner with its backbone and modality, and how it was made."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from torch import Tensor

from meta_core.artifact import pack, unpack
from meta_core.backbone import build_backbone
from meta_core.errors import CorruptArtifact, InvalidParameter, InvalidTask
from meta_core.learner import Learner, build_learner, learners
from meta_core.limits import Limits
from meta_core.modality import Description, Modality, build_modality
from meta_core.types import Task

EMBEDDING_MEAN = "embeddings.mean"
"""Name, among the weights, of the mean embedding [D] of the training set, where that is known."""


@dataclass(frozen=True, kw_only=True)
class BaseSpec:
    """What a base model is made of; everything but the weights, as plain values.

    `learners` names the learner of each kind of task it takes, with its config. `shape` is that of one input tensor;
    empty when each support set fixes its own (tables, vectors). A `description` given here is used for every task
    instead of describing its support set.
    """

    modality: str
    modality_config: dict[str, Any] = field(default_factory=dict)
    backbone: str
    backbone_config: dict[str, Any] = field(default_factory=dict)
    learners: dict[Task, tuple[str, dict[str, Any]]]
    shape: tuple[int, ...] = ()
    description: Description | None = None

    def build(self, shape: tuple[int, ...], task: Task) -> Learner:
        """The learner with fresh weights, for inputs of one shape. Raises `InvalidTask` for a task it does not take."""
        if task not in self.learners:
            raise InvalidTask(f"this base model does {' and '.join(sorted(self.learners))}; the labels ask for {task}")
        backbone = build_backbone(self.backbone, shape, self.backbone_config)
        name, config = self.learners[task]
        return build_learner(name, backbone, config, task)


@dataclass(frozen=True, kw_only=True, eq=False)
class Base:
    """A version of a base model. Its weights are empty when nothing in it is learned before the support set comes.

    `owner` is the tenant that alone sees it; None for one that is everybody's.
    """

    name: str
    version: int
    summary: str
    spec: BaseSpec
    weights: dict[str, Tensor]
    provenance: dict[str, Any]
    scores: dict[str, Any]
    owner: str | None = None

    @property
    def reference(self) -> str:
        """name@version."""
        return f"{self.name}@{self.version}"

    def modality(self, limits: Limits | None = None) -> Modality:
        """The reader of its inputs."""
        return build_modality(self.spec.modality, self.spec.modality_config, limits)

    def params_of(self, name: str, task: Task, changed: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Complete parameters of a learner: as this base model has it, or by default, with some changed.

        Raises `NotFound` or `InvalidParameter`.
        """
        own, config = self.spec.learners.get(task, ("", {}))
        start = learners[name].Config.parse(config if name == own else {}, f"learner {name}")
        return (start.changed(changed, f"learner {name}") if changed else start).model_dump(mode="json")

    @cached_property
    def trained_head(self) -> bool:
        """Whether its own learner has learned weights beside those of the body."""
        return any(not key.startswith("backbone.") and key != EMBEDDING_MEAN for key in self.weights)

    def learner_for(self, name: str, values: dict[str, Any], shape: tuple[int, ...], task: Task) -> Learner:
        """A learner in evaluation mode for inputs of one shape: its own, or another on its backbone's embeddings.

        Raises `InvalidParameter` when the other has to be meta-trained, or this backbone makes no embeddings, and
        `CorruptArtifact` when the weights do not fit.
        """
        own, config = self.spec.learners.get(task, ("", {}))
        parts = learners[name].parts(values, task)
        if name != own:
            for part in (name, *parts):
                self._check_other(part, own)
        learner = replace(self.spec, learners={task: (name, values)}).build(shape, task)
        weights = {key: value for key, value in self.weights.items() if key != EMBEDDING_MEAN}
        body = {key: value for key, value in weights.items() if key.startswith("backbone.")}
        built = self._with_weights(learner, weights if name == own else body)
        if EMBEDDING_MEAN in self.weights:
            for module in built.modules():
                if isinstance(module, Learner):
                    module.take_embedding_mean(self.weights[EMBEDDING_MEAN])
        head = {key: value for key, value in weights.items() if not key.startswith("backbone.")}
        if own in parts and head:
            built.take_weights(own, config, head)
        return built

    def _check_other(self, name: str, own: str) -> None:
        if learners[name].needs_meta_training and name != own:
            raise InvalidParameter(f"learner {name} must be meta-trained; {self.reference} was not trained with it")
        if any(learners[own].adapts_body for own, _ in self.spec.learners.values()):
            raise InvalidParameter(
                f"the body of {self.reference} changes with each task: it has no embeddings of its own"
            )

    def _with_weights(self, learner: Learner, weights: dict[str, Tensor]) -> Learner:
        own = {key for key in learner.state_dict() if key.startswith("backbone.")} if weights else set()
        try:
            missing, unexpected = learner.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise CorruptArtifact(f"the weights of {self.reference} do not fit its header: {error}") from None
        if unexpected or own & set(missing):
            raise CorruptArtifact(f"the weights of {self.reference} are not those of its header")
        return learner.eval().requires_grad_(False)

    def pack(self) -> bytes:
        """The artifact of this version."""
        return pack(self.weights, self.header())

    def header(self) -> dict[str, Any]:
        """Everything but the weights."""
        plain = {name: getattr(self, name) for name in ("name", "version", "summary", "provenance", "scores")}
        return {"kind": "base", **plain, "spec": vars(self.spec)}


def unpack_base(content: bytes) -> Base:
    """A base model from its artifact. Raises `CorruptArtifact`."""
    weights, header = unpack(content)
    if header.get("kind") != "base":
        raise CorruptArtifact(f"expected a base model, found {header.get('kind')!r}")
    spec = dict(header["spec"])
    spec["shape"] = tuple(spec["shape"])
    spec["learners"] = {task: (name, config) for task, (name, config) in spec["learners"].items()}
    names = ("name", "version", "summary", "provenance", "scores")
    return Base(spec=BaseSpec(**spec), weights=weights, **{name: header[name] for name in names})

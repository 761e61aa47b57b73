"""Meta-training from a recipe: dataset, learner, backbone and training in; a base model out."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, WithJsonSchema, model_validator

from meta_core.backbone import build_backbone
from meta_core.base import EMBEDDING_MEAN, Base, BaseSpec
from meta_core.circumstances import circumstances
from meta_core.config import Config
from meta_core.dataset import Dataset, build_dataset
from meta_core.download import Report, silent
from meta_core.episodes import ClassSource, Size, TaskSource
from meta_core.errors import InvalidParameter
from meta_core.ids import NAME
from meta_core.learner import Learner, build_learner
from meta_core.meta_dataset import MetaDatasetSource
from meta_core.modality import build_modality, modalities
from meta_core.ranks import Ranks
from meta_core.start import Bases, begin_from, check_frozen, embeddings, no_bases
from meta_core.store import Store
from meta_core.training import Checkpoints, MetaTraining, Progress, TrainingConfig
from meta_core.uploads import DATASET, resolved

DATASET_SCHEMA = {
    "anyOf": [{"type": "string"}, {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}],
    "description": 'name of a dataset of the service; or the id of an uploaded one, `{"id": "dst_…"}`, with its '
    "parameters beside it: split, seed, preprocessing",
    "examples": ["omniglot", {"id": "dst_0193a5b0c7d27a4e8f00112233445566", "preprocessing": {"size": 84}}],
}

MEAN_TASKS = 50
"""Tasks over which the mean embedding is taken."""
NO_CLASSES = "sampler meta-dataset draws from labelled examples of many classes; dataset {} has none to draw from"


class Recipe(Config):
    """All that decides what a base model becomes; the same recipe makes the same weights on the same machine."""

    name: str = Field(pattern=f"^{NAME.pattern}$", description="name of the base model; a new version of it is made")
    summary: str = Field("", max_length=500, description="what it is for, in a sentence")
    dataset: Annotated[str, WithJsonSchema(DATASET_SCHEMA)]
    dataset_params: dict[str, Any] = Field(default_factory=dict)
    learner: str = "protonet"
    params: dict[str, Any] = Field(default_factory=dict, description="parameters of the learner")
    start: str | None = Field(
        None,
        description="base model whose body the training starts from, and whose learner too where it is the same; "
        "backbone and its parameters are then those of that base model, unless they are given",
    )
    frozen: bool = Field(
        False, description="keep that body as it is: the learner is trained on embeddings that are computed once"
    )
    backbone: str | None = Field(None, description="null: that of `start`, or else a usual one: conv4 for images")
    backbone_params: dict[str, Any] = Field(default_factory=dict)
    sampler: Literal["fixed", "meta-dataset"] = Field(
        "fixed", description="sizes of the training tasks: those of `training`, or varying as Meta-Dataset draws them"
    )
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="before")
    @classmethod
    def _by_reference(cls, values: Any) -> Any:
        return by_reference(values) if isinstance(values, dict) else values

    def resolved(self, store: Store, tenant: str) -> Self:
        """The same with what is known of its dataset, where that is one of the store. Raises `NotFound`."""
        known = resolved(store, tenant, self.dataset, self.dataset_params)
        return self.model_copy(update={"dataset_params": known})

    def settled(self, bases: Bases = no_bases) -> Self:
        """The same recipe with nothing left open: backbone, its parameters, and the version of `start`.

        Raises what `meta_train` would for names and parameters that are not right, before any work.
        """
        dataset = build_dataset(self.dataset, Path(), self.dataset_params)
        settled = self._with_body(None if self.start is None else bases(self.start), dataset)
        assert settled.backbone is not None
        backbone = build_backbone(settled.backbone, dataset.example_shape() or (1,), settled.backbone_params)
        learner = build_learner(self.learner, backbone, self.params, dataset.task())
        if self.sampler == "meta-dataset" and dataset.task() == "regression":
            raise InvalidParameter(NO_CLASSES.format(self.dataset), "sampler")
        if learner.without_gradient or not any(value.requires_grad for value in learner.parameters()):
            why = learner.without_gradient or f"with backbone {settled.backbone} it has no meta-parameters"
            raise InvalidParameter(f"learner {self.learner} cannot be meta-trained: {why}")
        if self.frozen:
            check_frozen(learner)
        return settled

    def _with_body(self, start: Base | None, dataset: Dataset) -> Self:
        if start is None:
            if self.frozen:
                raise InvalidParameter("a frozen body needs a base model to `start` from", "frozen")
            return self.model_copy(update={"backbone": self.backbone or modalities[dataset.modality].backbone})
        if not _reads_alike(dataset, start.spec):
            raise InvalidParameter(f"{start.reference} reads other inputs than dataset {self.dataset} holds", "start")
        same = self.backbone in (None, start.spec.backbone)
        params = {**(start.spec.backbone_config if same else {}), **self.backbone_params}
        body = {"backbone": self.backbone or start.spec.backbone, "backbone_params": params}
        return self.model_copy(update={"start": start.reference, **body})


def by_reference(values: dict[str, Any]) -> dict[str, Any]:
    """Where `dataset` is `{"id": "dst_…", …}` or such an id alone, the name and parameters that this stands for."""
    given = values.get("dataset")
    if isinstance(given, str) and given.startswith("dst_"):
        given = {"id": given}
    if not isinstance(given, dict):
        return values
    return {**values, "dataset": DATASET, "dataset_params": {**(values.get("dataset_params") or {}), **given}}


def meta_train(
    recipe: Recipe,
    *,
    version: int,
    datasets_folder: Path,
    device: torch.device,
    report: Callable[[Progress], None],
    bases: Bases = no_bases,
    checkpoints: Checkpoints | None = None,
    fetching: Report = silent,
    ranks: Ranks | None = None,
) -> Base:
    """Train to the end, continuing from the last checkpoint, and return the base model with its provenance.

    With `ranks` it is the work of several processes, all of which return the model; that of rank 0 is the one to keep.
    """
    started = time.monotonic()
    recipe = recipe.settled(bases)
    assert recipe.backbone is not None
    ranks = ranks or Ranks()
    dataset = build_dataset(recipe.dataset, datasets_folder / recipe.dataset, recipe.dataset_params, fetching)
    chosen = recipe.training.validation_tasks > 0
    with ranks.leader_first():
        source = dataset.source("train" if chosen else "train+validation", augmented=not recipe.frozen)
        validation = dataset.source("validation") if chosen else None
    spec = BaseSpec(
        modality=dataset.modality,
        modality_config=dataset.preprocessing(),
        backbone=recipe.backbone,
        backbone_config=recipe.backbone_params,
        learners={source.task: (recipe.learner, recipe.params)},
        shape=source.shape,
        description=dataset.description(),
    )
    with torch.random.fork_rng():
        torch.manual_seed(recipe.training.seed)
        learner = spec.build(source.shape, source.task).to(device)
    if recipe.start is not None:
        begin_from(bases(recipe.start), learner)
    body = learner.backbone
    if recipe.frozen:
        source = embeddings(source, body)
        validation = None if validation is None else embeddings(validation, body)
        learner.backbone = build_backbone("identity", source.shape, {})
    training = MetaTraining(learner, recipe.training, _sampled(recipe, source), validation, ranks)
    training.run(report, checkpoints)
    embedding_mean = _embedding_mean(learner, recipe, source)
    learner.backbone = body
    scores = {} if validation is None else {"validation": training.best_score}
    return Base(
        name=recipe.name,
        version=version,
        summary=recipe.summary,
        spec=spec,
        weights=_weights(learner) | embedding_mean,
        provenance={
            "recipe": recipe.model_dump(),
            "seed": recipe.training.seed,
            **circumstances(device, time.monotonic() - started),
            "processes": ranks.world,
            "curve": training.curve,
        },
        scores=scores,
    )


def _reads_alike(dataset: Dataset, spec: BaseSpec) -> bool:
    """Whether a base model reads its inputs as a dataset does; settings left out are the usual ones."""
    own = build_modality(dataset.modality, dataset.preprocessing())
    return own.name == spec.modality and own.config == build_modality(spec.modality, spec.modality_config).config


@torch.no_grad()
def _embedding_mean(learner: Learner, recipe: Recipe, source: TaskSource) -> dict[str, torch.Tensor]:
    """The mean embedding of training tasks, where other learners can be put on them."""
    if learner.adapts_body or source.task == "regression" or not source.shape:
        return {}
    config, rng = recipe.training, torch.Generator().manual_seed(recipe.training.seed)
    device = next(learner.parameters()).device
    total = torch.zeros(learner.backbone.dimension, device=device)
    for _ in range(MEAN_TASKS):
        episode = source.draw(Size(ways=config.ways, shots=config.shots, queries=config.queries), rng)
        total += learner.backbone(torch.cat([episode.support.x, episode.x]).to(device)).mean(0)
    return {EMBEDDING_MEAN: (total / MEAN_TASKS).cpu()}


def _sampled(recipe: Recipe, source: TaskSource) -> TaskSource:
    """The source as the recipe's sampler draws from it. Raises `InvalidParameter` where there are no classes."""
    if recipe.sampler == "fixed":
        return source
    if not isinstance(source, ClassSource):
        raise InvalidParameter(NO_CLASSES.format(recipe.dataset), "sampler")
    return MetaDatasetSource(source)


def _weights(learner: Learner) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu() for name, value in learner.state_dict().items()}

"""Meta-training and evaluation in this process, on the store itself: no service has to run."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from app.caller import LOCAL
from app.cli_datasets import as_one_file
from app.settings import Settings
from meta_core.artifact import pack, unpack
from meta_core.base import Base, unpack_base
from meta_core.catalogue import Catalogue
from meta_core.dataset import Split, build_dataset, datasets
from meta_core.download import Report
from meta_core.episodes import Size, TaskSource
from meta_core.errors import InvalidParameter, InvalidTask
from meta_core.evaluation import evaluate
from meta_core.expectations import learn
from meta_core.experience import Experience
from meta_core.ids import DEFAULT_TENANT, SELECTION_KEY, new_id
from meta_core.learner import Learner
from meta_core.past_tasks import Source, drawn, gathered, sources, sources_of, stored
from meta_core.process import choose_device, prepare_process
from meta_core.ranks import Ranks, joined
from meta_core.recipe import Recipe, meta_train
from meta_core.selection import Selection
from meta_core.start import Bases
from meta_core.store import Store
from meta_core.training import Progress as Step
from meta_core.training import Tensors
from meta_core.training_log import TrainingLog
from meta_core.uploads import DATASET, add, at_hand, load_card, resolved


class FileCheckpoints:
    """The last checkpoint of one recipe, in the home; a changed recipe is another training."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        recipe_hash = hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()[:16]
        self.path = folder / f"{recipe.name}-{recipe_hash}.safetensors"

    def load(self) -> Tensors | None:
        """The last one, if there is any. Raises `CorruptArtifact`."""
        return unpack(self.path.read_bytes())[0] if self.path.exists() else None

    def save(self, tensors: Tensors) -> None:
        """Replace the last one, in one move."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_bytes(pack(tensors, {"kind": "checkpoint"}))
        partial.replace(self.path)


def make_base(recipe: Recipe, settings: Settings, output: Path | None, logs: Sequence[TrainingLog] = ()) -> Base:
    """Meta-train a base model, continuing from its last checkpoint, and publish it or write it to `output`."""
    recipe = recipe.resolved(Store(settings.store), LOCAL.tenant).settled(_bases(settings))
    prepare_process(torch.get_num_threads())
    device = choose_device(settings.device)
    with joined(_variable("RANK", 0), _variable("WORLD_SIZE", 1), "nccl" if device.type == "cuda" else "gloo") as ranks:
        return _make_base(recipe, settings, output, device=device, ranks=ranks, logs=logs)


def _variable(name: str, default: int) -> int:
    """A number that torchrun tells each of the processes it starts."""
    return int(os.environ.get(name, default))


def _make_base(
    recipe: Recipe,
    settings: Settings,
    output: Path | None,
    *,
    device: torch.device,
    ranks: Ranks,
    logs: Sequence[TrainingLog],
) -> Base:
    checkpoints = FileCheckpoints(settings.home / "checkpoints", recipe)
    texts = "loss {task.fields[loss]:.4f}", "validation {task.fields[validation]}"
    with (
        _progress(*texts, shown=ranks.leads) as progress,
        _at_hand(recipe.dataset, recipe.dataset_params, settings) as folder,
    ):
        bar = progress.add_task(recipe.name, total=recipe.training.steps, loss=float("nan"), validation="–")

        def report(step: Step) -> None:
            validation = "–" if step.validation is None else f"{step.validation:.4f}"
            progress.update(bar, completed=step.step, loss=step.loss, validation=validation)
            for log in logs:
                log(step)

        base = meta_train(
            recipe,
            version=1,
            datasets_folder=folder,
            device=device,
            report=report if ranks.leads else _ignore,
            bases=_bases(settings),
            checkpoints=checkpoints,
            fetching=_downloads(progress),
            ranks=ranks,
        )
    if not ranks.leads:
        return base
    if output is None:
        base = Catalogue(Store(settings.store)).publish(base, job=new_id("job"))
    else:
        output.write_bytes(base.pack())
    checkpoints.path.unlink(missing_ok=True)
    return base


def evaluate_base(
    reference: str,
    settings: Settings,
    *,
    dataset: str | None,
    dataset_params: dict[str, Any],
    split: str,
    size: Size,
    tasks: int,
    seed: int,
    learner: str | None,
    params: dict[str, Any],
) -> dict[str, Any]:
    """Scores of a base model (a name, or a file) on tasks of a dataset; `learner` is one to put on its embeddings."""
    base = _load_base(reference, settings)
    name, values = _dataset_of(base, in_store(dataset, settings), dataset_params)
    values = resolved(Store(settings.store), LOCAL.tenant, name, values)
    prepare_process(torch.get_num_threads())
    with _progress() as progress, _at_hand(name, values, settings) as folder:
        tasks_of = build_dataset(name, folder / name, values, _downloads(progress))
        if tasks_of.modality != base.spec.modality:
            raise InvalidTask(f"{base.reference} reads {base.spec.modality}; dataset {name} holds {tasks_of.modality}")
        source = tasks_of.source(_checked_split(split))
        chosen = _chosen_learner(base, learner, params, source).to(choose_device(settings.device))
        bar = progress.add_task(base.reference, total=tasks)
        rng = torch.Generator().manual_seed(seed)
        result = evaluate(chosen, source, size, tasks, rng, report=lambda done: progress.update(bar, completed=done))
    asked = {"base": base.reference, "learner": chosen.name, "dataset": name, "split": split, **asdict(size)}
    return {**asked, "seed": seed, **asdict(result)}


def in_store(dataset: str | None, settings: Settings) -> str | None:
    """The id of a file or folder of examples in the store, into which it is put; other names as they are."""
    if dataset is None or dataset in datasets or not ("://" in dataset or Path(dataset).exists()):
        return dataset
    with as_one_file(dataset) as file:
        card, _ = add(Store(settings.store), LOCAL.tenant, file, name=dataset[:200], limits=settings.limits())
    return str(card["id"])


def _at_hand(dataset: str, values: Mapping[str, Any], settings: Settings) -> AbstractContextManager[Path]:
    return at_hand(Store(settings.store), LOCAL.tenant, dataset, values, settings.datasets)


def _load_base(reference: str, settings: Settings) -> Base:
    if reference.endswith(".safetensors"):
        try:
            return unpack_base(Path(reference).read_bytes())
        except OSError as error:
            raise InvalidParameter(f"{reference} cannot be read: {error.strerror}") from None
    return Catalogue(Store(settings.store)).get(reference, DEFAULT_TENANT)


def _bases(settings: Settings) -> Bases:
    return partial(Catalogue(Store(settings.store)).get, tenant=DEFAULT_TENANT)


def _chosen_learner(base: Base, name: str | None, params: dict[str, Any], source: TaskSource) -> Learner:
    """Its own learner, or another on its embeddings."""
    if name is None and source.task not in base.spec.learners:
        raise InvalidTask(f"{base.reference} does {' and '.join(base.spec.learners)}; this dataset is {source.task}")
    own, config = base.spec.learners.get(source.task, ("", {}))
    name = name or own
    values = {**config, **params} if name == own else params
    return base.learner_for(name, values, source.shape, source.task)


def _dataset_of(base: Base, name: str | None, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The dataset asked for; the one of its meta-training comes with the parameters it had there."""
    recipe = base.provenance.get("recipe", {})
    if name is not None and name.startswith("dst_"):
        name, values = DATASET, {"id": name, **values}
    name = name or recipe.get("dataset")
    if name is None:
        raise InvalidParameter(f"{base.reference} does not say what it was trained on; name a dataset with --dataset")
    before = recipe.get("dataset_params", {}) if name == recipe.get("dataset") else {}
    return name, {**before, **values}


def _checked_split(split: str) -> Split:
    if split in get_args(Split):
        return cast(Split, split)
    raise InvalidParameter(f"there is no split {split!r}; there are: {', '.join(get_args(Split))}")


def _downloads(progress: Progress) -> Report:
    """Reports every file that is fetched as a bar of its own."""
    bars: dict[str, TaskID] = {}

    def report(name: str, done: int, total: int | None) -> None:
        if name not in bars:
            bars[name] = progress.add_task(f"fetching {name}", loss=float("nan"), validation="–")
        progress.update(bars[name], completed=done, total=total)

    return report


def _ignore(step: Step) -> None:
    """The first of several processes reports for all."""


def _progress(*texts: str, shown: bool = True) -> Progress:
    """A bar on stderr, so that stdout holds the result alone."""
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *map(TextColumn, texts)]
    times = TimeElapsedColumn(), TimeRemainingColumn()
    return Progress(*columns, *times, console=Console(stderr=True), disable=not shown)


def learn_selection(
    settings: Settings,
    *,
    tasks: int,
    costly_every: int,
    seed: int,
    own: bool,
    given: Sequence[str],
    regressions: Sequence[str],
    output: Path | None,
) -> Selection:
    """Gather experience with every learner, learn from it what to expect of each, and keep that in the store or a file.

    `given` are uploaded datasets, or files and folders to be such; `regressions` the tables at hand whose last column
    holds targets though its values are few; `own` adds the support sets that the service was given.
    """
    prepare_process(1)
    store = Store(settings.store)
    catalogue = Catalogue(store)
    found: list[Experience] = []
    names: list[str] = []
    with _progress() as progress:
        for source in _past_sources(settings, store, catalogue, given, regressions):
            bar = progress.add_task(source.dataset, total=tasks)
            drawn_tasks = drawn(source, tasks, torch.Generator().manual_seed(seed))
            report = partial(_completed, progress, bar)
            new = gathered(source.dataset, drawn_tasks, costly_every=costly_every, report=report, shape=source.shape)
            found += new
            names += [source.dataset] if new else []
        if own:
            bar = progress.add_task("support sets of this service", total=None)
            report = partial(_completed, progress, bar)
            found += gathered("own", stored(store, catalogue, LOCAL.tenant), costly_every=costly_every, report=report)
    provenance = {"tasks": tasks, "costly_every": costly_every, "seed": seed, "own": own, "datasets": names}
    provenance |= {"regressions": list(regressions)} if regressions else {}
    selection = learn(found, provenance)
    if output is None:
        store.replace(SELECTION_KEY, selection.dumps())
    else:
        output.write_bytes(selection.dumps() + b"\n")
    return selection


def _past_sources(
    settings: Settings, store: Store, catalogue: Catalogue, given: Sequence[str], regressions: Sequence[str]
) -> Iterator[Source]:
    """Those at hand, then the datasets that were named."""
    yield from sources(catalogue, settings.datasets, regressions)
    for name in given:
        id = in_store(name, settings)
        values = resolved(store, LOCAL.tenant, DATASET, {"id": id})
        with at_hand(store, LOCAL.tenant, DATASET, values, settings.datasets) as folder:
            shown = Path(load_card(store, LOCAL.tenant, values["id"])["name"] or values["id"]).stem
            yield from sources_of(catalogue, shown, folder, values)


def _completed(progress: Progress, bar: TaskID, done: int) -> None:
    progress.update(bar, completed=done)

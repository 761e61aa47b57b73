"""Tasks to gather experience on: of the generators, of the datasets at hand, and those that a service was given."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from meta_core.artifact import unpack
from meta_core.base import Base, BaseSpec
from meta_core.catalogue import Catalogue
from meta_core.dataset import build_dataset
from meta_core.datasets.tables import Tables, TablesConfig
from meta_core.episodes import ClassSource, Size, TaskSource
from meta_core.errors import InvalidRequest, InvalidTask, MetaError, NotFound, shown
from meta_core.experience import Experience, experiences
from meta_core.ids import support_key
from meta_core.learner import Learner
from meta_core.orders import results_of
from meta_core.selection import CHEAP, COSTLY, MOST_DIMENSIONS, takes_any_embeddings
from meta_core.store import Store
from meta_core.types import Episode, Support, Task
from meta_core.uploads import DATASET

GENERATORS: dict[str, Task] = {
    "mixtures": "classification",
    "discriminants": "classification",
    "prior": "classification",
    "sinusoids": "regression",
}
log = logging.getLogger(__name__)

SHOTS, WAYS = (1, 2, 3, 5, 10, 20), (2, 3, 5, 10, 20)
MOST_CLASSES = 20
"""Different values of the last column of a table of numbers beyond which they are targets."""
MOST_WAYS, MOST_OF_A_CLASS = 100, 50
"""Classes, and examples of each, that are encoded of one dataset."""


@dataclass(frozen=True)
class Source:
    """Tasks of one dataset, and the base model on whose embeddings they are learned.

    Where the tasks are of embeddings already, `shape` is that of the inputs they were made of.
    """

    dataset: str
    base: Base
    tasks: TaskSource
    shape: tuple[int, ...] | None = None


def sources(catalogue: Catalogue, folder: Path, regressions: Collection[str] = ()) -> Iterator[Source]:
    """The generators; Omniglot and every table, by its last column, that lie in a folder of datasets.

    The last column of the tables named as `regressions` holds targets, however few values it has: a table does not
    say whether 3 is a class or a grade. Raises `NotFound` where one of them is not there, `InvalidTask` where it holds
    texts.
    """
    tables = {path.stem: path for path in sorted((folder / "tables").glob("*.csv"))}
    for name in regressions:
        if name not in tables:
            raise NotFound.among("table", name, tables)
    for name, task in GENERATORS.items():
        yield Source(name, plain(task), build_dataset(name, folder / name, {}).source("train"))
    if (folder / "omniglot").is_dir():
        characters = build_dataset("omniglot", folder / "omniglot", {"rotations": False}).source("validation")
        yield embedded("omniglot", catalogue.get("omniglot"), characters)
    for name, path in tables.items():
        table = _table(path, regression=name in regressions)
        yield Source(name, catalogue.get("table"), table.source("train+validation"))


def sources_of(catalogue: Catalogue, name: str, folder: Path, values: Mapping[str, Any]) -> Iterator[Source]:
    """An uploaded dataset in a folder, on every base model that reads what it holds, as that base model reads it."""
    for base in catalogue.list():
        if base.spec.modality != values["modality"] or base.spec.description is not None:
            continue
        dataset = build_dataset(DATASET, folder / DATASET, {"preprocessing": base.spec.modality_config, **values})
        try:
            tasks = dataset.source("train+validation")
            if tasks.task in base.spec.learners and base.spec.shape in ((), tasks.shape):
                yield embedded(f"{name} on {base.name}", base, tasks)
        except MetaError as error:
            log.warning("%s is left out on %s: %s", name, base.reference, error)


def embedded(name: str, base: Base, tasks: TaskSource) -> Source:
    """The same tasks of embeddings, each example encoded once, where they are draws of classes; at most so many."""
    if not isinstance(tasks, ClassSource):
        return Source(name, base, tasks)
    own, config = base.spec.learners[tasks.task]
    learner = base.learner_for(own, config, tasks.shape, tasks.task)
    if not learner.only_embeds:
        return Source(name, base, tasks)
    kept = [members[:MOST_OF_A_CLASS] for members in tasks.members[:: 1 + len(tasks.members) // MOST_WAYS]]
    y = torch.arange(len(kept)).repeat_interleave(torch.tensor([len(members) for members in kept]))
    few = ClassSource(tasks.x[torch.cat(kept)], y)
    return Source(name, base, few.encoded(learner.inference().encode), tasks.shape)


def drawn(source: Source, count: int, rng: torch.Generator) -> Iterator[tuple[Base, Episode]]:
    """Tasks of many sizes, every other one unbalanced; those of a size that a source refuses are left out."""
    refused: list[InvalidRequest] = []
    for number in range(count):
        ways, shots = (int(_one_of(choices, rng)) for choices in (WAYS, SHOTS))
        regression = source.tasks.task == "regression"
        if regression:
            size = Size(shots=4 * shots, queries=60)
        else:
            most = len(source.tasks.members) if isinstance(source.tasks, ClassSource) else ways
            size = Size(ways=min(ways, most), shots=shots, queries=10)
        try:
            episode = source.tasks.draw(size, rng)
        except InvalidRequest as error:
            refused.append(error)
            continue
        if number % 2 and not regression:
            episode = replace(episode, support=unbalanced(episode.support, rng))
        yield source.base, episode
    if refused and len(refused) == count:
        log.warning(
            "%s: nothing is learned from it: no task of %d could be drawn: %s", source.dataset, count, refused[-1]
        )


def stored(store: Store, catalogue: Catalogue, tenant: str) -> Iterator[tuple[Base, Episode]]:
    """The support sets that a service was given, each split at random: one half to learn from, the other to ask."""
    rng = torch.Generator().manual_seed(0)
    for id in results_of(store, tenant, "mdl"):
        try:
            tensors, header = unpack(store.get(support_key(tenant, id)))
            base = catalogue.get(header["base"], tenant)
        except MetaError:
            continue  # deleted since, or of a base model that is
        episode = _split(tensors["x"], tensors["y"], rng)
        if episode is not None:
            yield base, episode


def gathered(
    dataset: str,
    tasks: Iterable[tuple[Base, Episode]],
    *,
    costly_every: int,
    report: Callable[[int], None],
    shape: tuple[int, ...] | None = None,
) -> list[Experience]:
    """Experience on some tasks with the usual learners, and on every so manieth with the costly ones.

    `shape` is that of the inputs where the tasks are of embeddings already; otherwise each task is encoded.
    """
    found: list[Experience] = []
    known: dict[tuple[str, tuple[int, ...], bool], dict[str, Learner]] = {}
    for number, (base, episode) in enumerate(tasks):
        costly = number % costly_every == costly_every - 1
        inputs = shape or tuple(episode.x.shape[1:])
        key = base.reference, inputs, costly
        usable = known[key] = known.get(key) or usable_learners(base, episode.support.task, inputs, costly=costly)
        with torch.no_grad():
            encoded = episode if shape else next(iter(usable.values())).encode_episode(episode)
            narrow = {n: one for n, one in usable.items() if MOST_DIMENSIONS.get(n, 1 << 30) >= encoded.x.shape[1]}
            found += experiences(encoded, base, narrow, dataset=dataset, number=number)
        report(number + 1)
    return found


def usable_learners(base: Base, task: Task, shape: tuple[int, ...], *, costly: bool) -> dict[str, Learner]:
    """The base model's own and those that are usually looked at on its embeddings, with the costly ones or without."""
    own, config = base.spec.learners[task]
    usual = (own, *CHEAP[task], *(COSTLY[task] if costly else ()))
    names = [name for name in dict.fromkeys(usual) if name == own or takes_any_embeddings(name)]
    return {name: base.learner_for(name, config if name == own else {}, shape, task) for name in names}


def plain(task: Task) -> Base:
    """Numbers as they are."""
    spec = BaseSpec(modality="vector", backbone="identity", learners={task: ("ridge", {})})
    return Base(name="plain", version=1, summary="", spec=spec, weights={}, provenance={}, scores={})


def _table(path: Path, *, regression: bool) -> Tables:
    values = set(Tables(path.parent, TablesConfig(path=path.stem)).targets())
    texts = [value for value in values if not _is_number(value)]
    if regression and texts:
        raise InvalidTask(f"table {path.stem} is no regression: its last column holds {shown(min(texts))}")
    regression = regression or (len(values) > MOST_CLASSES and not texts)
    return Tables(path.parent, TablesConfig(path=path.stem, task="regression" if regression else "classification"))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _one_of(choices: tuple[int, ...], rng: torch.Generator) -> int:
    return choices[int(torch.randint(len(choices), (), generator=rng))]


def unbalanced(support: Support, rng: torch.Generator) -> Support:
    """Of each class a random number of its examples, one at least."""
    kept = []
    for c in range(int(support.ways or 0)):
        members = (support.y == c).nonzero().flatten()
        kept.append(members[: int(torch.randint(1, len(members) + 1, (), generator=rng))])
    chosen = torch.cat(kept)
    return replace(support, x=support.x[chosen], y=support.y[chosen])


def _split(x: torch.Tensor, y: torch.Tensor, rng: torch.Generator) -> Episode | None:
    order = torch.randperm(len(y), generator=rng)
    learned, asked = order[: (len(y) + 1) // 2], order[(len(y) + 1) // 2 :]
    if y.dim() == 2:
        return Episode(Support(x[learned], y[learned], None), x[asked], y[asked]) if len(asked) else None
    seen, own = torch.unique(y[learned], return_inverse=True)
    asked = asked[torch.isin(y[asked], seen)]
    if len(seen) < 2 or not len(asked):
        return None
    return Episode(Support(x[learned], own, len(seen)), x[asked], torch.searchsorted(seen, y[asked]))

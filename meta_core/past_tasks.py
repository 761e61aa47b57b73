"""Tasks to gather experience on: of the generators, of the datasets at hand, and those that a service was given."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from meta_core.artifact import unpack
from meta_core.base import Base, BaseSpec
from meta_core.catalogue import Catalogue
from meta_core.dataset import build_dataset
from meta_core.datasets.tables import Tables, TablesConfig
from meta_core.episodes import Size, TaskSource
from meta_core.errors import InvalidRequest, MetaError
from meta_core.experience import Experience, experiences
from meta_core.ids import support_key
from meta_core.learner import Learner, learners
from meta_core.members import Combination
from meta_core.orders import results_of
from meta_core.selection import IN_CLOSED_FORM, takes_any_embeddings
from meta_core.store import Store
from meta_core.types import Episode, Support, Task

GENERATORS: dict[str, Task] = {
    "mixtures": "classification",
    "discriminants": "classification",
    "prior": "classification",
    "sinusoids": "regression",
}
SHOTS, WAYS = (1, 2, 3, 5, 10, 20), (2, 3, 5, 10, 20)
MOST_CLASSES = 20
"""Different values of the last column of a table of numbers beyond which they are targets."""


@dataclass(frozen=True)
class Source:
    """Tasks of one dataset, and the base model on whose embeddings they are learned."""

    dataset: str
    base: Base
    tasks: TaskSource


def sources(catalogue: Catalogue, folder: Path) -> Iterator[Source]:
    """The generators; Omniglot and every table, by its last column, that lie in a folder of datasets."""
    for name, task in GENERATORS.items():
        yield Source(name, _plain(task), build_dataset(name, folder / name, {}).source("train"))
    if (folder / "omniglot").is_dir():
        characters = build_dataset("omniglot", folder / "omniglot", {}).source("train")
        yield Source("omniglot", catalogue.get("omniglot"), characters)
    for path in sorted((folder / "tables").glob("*.csv")):
        yield Source(path.stem, catalogue.get("table"), _table(path).source("train+validation"))


def drawn(source: Source, count: int, rng: torch.Generator) -> Iterator[tuple[Base, Episode]]:
    """Tasks of many sizes, every other one unbalanced; what a source has too few examples for is left out."""
    for number in range(count):
        ways, shots = (int(_one_of(choices, rng)) for choices in (WAYS, SHOTS))
        regression = source.tasks.task == "regression"
        size = Size(ways=ways, shots=shots * 4 if regression else shots, queries=60 if regression else 10)
        try:
            episode = source.tasks.draw(size, rng)
        except InvalidRequest:
            continue
        if number % 2 and not regression:
            episode = replace(episode, support=_unbalanced(episode.support, rng))
        yield source.base, episode


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
    dataset: str, tasks: Iterable[tuple[Base, Episode]], *, costly_every: int, report: Callable[[int], None]
) -> list[Experience]:
    """Experience on some tasks with the learners in closed form, and on every so manieth with all of them."""
    found: list[Experience] = []
    for number, (base, episode) in enumerate(tasks):
        usable = usable_learners(base, episode, costly=number % costly_every == costly_every - 1)
        with torch.no_grad():
            encoded = next(iter(usable.values())).encode_episode(episode)
            found += experiences(dataset, number, base.spec.modality, encoded, usable)
        report(number + 1)
    return found


def usable_learners(base: Base, episode: Episode, *, costly: bool) -> dict[str, Learner]:
    """Those that take the embeddings of a base model as they come: the closed forms, and with the costly all."""
    task, shape = episode.support.task, tuple(episode.x.shape[1:])
    own, config = base.spec.learners[task]
    names = [name for name in learners if name in IN_CLOSED_FORM or costly]
    names.sort(key=lambda name: issubclass(learners[name], Combination))  # after their members
    return {
        name: base.learner_for(name, config if name == own else {}, shape, task)
        for name in names
        if task in learners[name].tasks and takes_any_embeddings(name)
    }


def _plain(task: Task) -> Base:
    """Numbers as they are."""
    spec = BaseSpec(modality="vector", backbone="identity", learners={task: ("ridge", {})})
    return Base(name="plain", version=1, summary="", spec=spec, weights={}, provenance={}, scores={})


def _table(path: Path) -> Tables:
    table = Tables(path.parent, TablesConfig(path=path.stem))
    values = set(table.targets())
    numbers = all(_is_number(value) for value in values)
    regression = numbers and len(values) > MOST_CLASSES
    return Tables(path.parent, TablesConfig(path=path.stem, task="regression" if regression else "classification"))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _one_of(choices: tuple[int, ...], rng: torch.Generator) -> int:
    return choices[int(torch.randint(len(choices), (), generator=rng))]


def _unbalanced(support: Support, rng: torch.Generator) -> Support:
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

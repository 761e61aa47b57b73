"""Datasets that somebody sent: checked, kept in the store under an id, and found again.

The file lies under a name made of its content, and is there from the moment the card beside it is; whatever has no
card is swept away later.
"""

import datetime
import hashlib
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from meta_core.errors import InvalidDataset, InvalidExample, InvalidParameter, InvalidRequest, NotFound
from meta_core.format import Example, Reading, open_format
from meta_core.ids import card_key, content_key, dataset_folder, derived_id
from meta_core.labels import class_name
from meta_core.limits import Limits
from meta_core.modality import Modality, Shape, build_modality
from meta_core.orders import now
from meta_core.store import Store
from meta_core.types import Task

Card = dict[str, Any]
"""What is told of a dataset: plain JSON."""
DATASET = "uploaded"
"""Name of the dataset in recipes; its parameter `id` says which."""
TOGETHER = 8
"""Examples that are read in one go when a file is checked."""
MOST_CLASSES_SHOWN = 1000
LEFT_OVER = datetime.timedelta(days=1)
"""Age at which a file without card counts as left behind by an upload that died."""


def add(
    store: Store,
    tenant: str,
    path: Path,
    *,
    name: str | None = None,
    format: str | None = None,
    reading: Reading | None = None,
    task: Task | None = None,
    limits: Limits | None = None,
    key: str | None = None,
    admit: Callable[[int], None] = lambda size: None,
) -> tuple[Card, bool]:
    """Check a file completely and keep it; its card, and whether it is new.

    The same file (or the same `key`, the caller's own name for this upload) always has the same id, so that an
    upload may be repeated. Raises `InvalidDataset`, `LimitExceeded`, or `InvalidRequest` when the key was used for
    another file. `admit` is told the bytes of a new file that is about to be kept, and may raise to refuse it.
    """
    reading, limits = reading or Reading(), limits or Limits()
    limits.check("bytes", path.stat().st_size, "max_dataset_bytes")
    digest = _digest(path)
    asked = json.dumps([format, task, reading.modality, reading.target])
    id = derived_id("dst", "key", key) if key else derived_id("dst", digest, asked)
    if (known := _found(store, tenant, id)) is None:
        card = {
            "id": id,
            "name": name,
            "status": "ready",
            **_description(path, format, reading, task, limits),
            "bytes": path.stat().st_size,
            "sha256": digest,
            "asked": asked,
            "created_at": now(),
        }
        admit(path.stat().st_size)
        store.replace_file(content_key(tenant, id, digest), path)
        if store.create(card_key(tenant, id), json.dumps(card, allow_nan=False).encode()):
            sweep(store, tenant)
            return card, True
        known = load_card(store, tenant, id)
    if (known["sha256"], known["asked"]) != (digest, asked):
        raise InvalidRequest(f"the key was used before, for {id}, with another file or other settings")
    return known, False


def load_card(store: Store, tenant: str, id: str) -> Card:
    """What is told of a dataset. Raises `NotFound`."""
    if (card := _found(store, tenant, id)) is None:
        raise NotFound(f"there is no dataset {id}")
    return card


def cards(store: Store, tenant: str) -> list[Card]:
    """All datasets of a tenant, newest first."""
    ids = {key.split("/")[2] for key in store.keys(dataset_folder(tenant)) if key.endswith("/card.json")}
    found = [card for id in ids if (card := _found(store, tenant, id)) is not None]
    return sorted(found, key=lambda card: str(card["created_at"]), reverse=True)


def remove(store: Store, tenant: str, id: str) -> None:
    """Delete a dataset; base models that were trained on it stay. Raises `NotFound`."""
    load_card(store, tenant, id)
    store.delete(card_key(tenant, id))
    for key in list(store.keys(dataset_folder(tenant, id))):
        store.delete(key)


def sweep(store: Store, tenant: str, age: datetime.timedelta = LEFT_OVER) -> int:
    """Remove what uploads that died have left; says how many files."""
    old = [key for key in store.untouched(dataset_folder(tenant), age) if not key.endswith("/card.json")]
    left = [key for key in old if not store.exists(card_key(tenant, key.split("/")[2])) or key.endswith(".partial")]
    for key in left:
        store.delete(key)
    return len(left)


def resolved(store: Store, tenant: str, dataset: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a recipe's dataset, with what the card of an uploaded one says. Raises `NotFound`."""
    if dataset != DATASET:
        return dict(values)
    if not isinstance(values.get("id"), str):
        raise InvalidParameter(f"dataset {DATASET} needs the id of a dataset, dst_…", "id")
    card = load_card(store, tenant, values["id"])
    return {**values, **{name: card[name] for name in ("modality", "task", "format", "target", "shape", "sha256")}}


@contextmanager
def at_hand(store: Store, tenant: str, dataset: str, values: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """The folder of datasets in which a recipe's dataset can be read: of an uploaded one, a folder of its own."""
    if dataset != DATASET:
        yield folder
        return
    card = load_card(store, tenant, values["id"])
    with (
        store.as_file(content_key(tenant, card["id"], card["sha256"])) as content,
        tempfile.TemporaryDirectory(prefix="shotput-dataset-") as place,
    ):
        own = Path(place) / DATASET
        own.mkdir()
        (own / card["id"]).symlink_to(content)
        yield Path(place)


def _found(store: Store, tenant: str, id: str) -> Card | None:
    try:
        return cast(Card, json.loads(store.get(card_key(tenant, id))))
    except NotFound:
        return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _description(path: Path, format: str | None, reading: Reading, task: Task | None, limits: Limits) -> dict[str, Any]:
    """Everything that can be told of a file once each of its examples has been read."""
    examples = open_format(path, format, reading, limits)
    modality = build_modality(examples.modality(), {}, limits)
    labels = _Labels()
    problems: list[tuple[str, str]] = []
    shape: Shape | None = None
    remaining = iter(examples)
    while batch := list(itertools.islice(remaining, TOGETHER)):
        labels.note(batch)
        found = _checked(modality, batch, problems)
        joined = modality.joined(shape, found) if shape and found else found or shape
        if shape and found and not joined:
            detail = f"is read as shape {list(found)}, where those before it were {list(shape)}"
            problems.append((batch[0].place, detail))
        shape = joined or shape
        if len(problems) >= InvalidDataset.MOST:
            break
    if problems:
        raise InvalidDataset(problems)
    return {
        "format": examples.name,
        "modality": modality.name,
        "target": reading.target,
        "shape": list(shape or ()),
        **labels.told(task),
    }


def _checked(modality: Modality, batch: list[Example], problems: list[tuple[str, str]]) -> Shape | None:
    """The shape of the inputs of some examples; those that cannot be read are added to the problems."""
    while batch:
        inputs = [example.input for example in batch]
        try:
            x = modality.read(inputs, modality.describe(inputs))
        except InvalidExample as error:
            problems.append((batch[error.index].place, error.detail))
            batch = batch[: error.index] + batch[error.index + 1 :]
        else:
            return tuple(x.shape[1:])
    return None


class _Labels:
    """The labels of a file, counted as long as they can be classes."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.kinds: set[type] = set()
        self.examples = 0

    def note(self, batch: list[Example]) -> None:
        """Count some more."""
        for example in batch:
            if not isinstance(example.label, str | int | float | bool) or example.label == "":
                raise InvalidDataset(
                    [(example.place, f"a label is a text, number or boolean; found {example.label!r}")]
                )
            self.kinds.add(type(example.label))
            self.counts[class_name(example.label) if not isinstance(example.label, float) else ""] += 1
        self.examples += len(batch)

    def told(self, task: Task | None) -> dict[str, Any]:
        """Task, number of examples and classes. Raises `InvalidDataset`."""
        numbers = self.kinds <= {int, float}
        if task is None:
            task = "regression" if numbers and float in self.kinds else "classification"
        if task == "regression" and not numbers:
            raise InvalidDataset([("the labels", "are not all numbers, which regression needs")])
        if task == "classification" and float in self.kinds:
            raise InvalidDataset([("the labels", "hold fractions; classes are texts, integers or booleans")])
        told = {"task": task, "examples": self.examples}
        if task == "regression":
            return {**told, "ways": None, "classes": {}}
        if len(self.counts) < 2:
            raise InvalidDataset([("the labels", f"there must be at least two classes; found {len(self.counts)}")])
        shown = dict(sorted(self.counts.items())[:MOST_CLASSES_SHOWN])
        return {**told, "ways": len(self.counts), "classes": shown}

"""Adapts that are alike, as far as they go in one pass before each is carried out by itself."""

import json
import math
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from meta_core import auto, mapped
from meta_core.artifact import Header
from meta_core.backbone import backbones
from meta_core.base import Base
from meta_core.fusion import Told
from meta_core.grouping import groups
from meta_core.kept import encode_supports
from meta_core.learner import Learner, learners
from meta_core.orders import Order
from meta_core.quality import HeldOut, adapt_and_leave_out_each, sparable
from meta_core.transfer import sent
from meta_core.types import State, Support


@dataclass(frozen=True)
class Opened:
    """An accepted adapt whose support set is read, with the learner that encodes it.

    And what is done of it ahead: its inputs encoded, and what the learner was taught and said of the left out.
    `seconds` is its share of the time that all this took, `told_seconds` that of the last part.
    """

    order: Order
    base: Base
    learner: Learner
    tensors: dict[str, Tensor]
    header: Header
    seconds: float
    told_seconds: float = 0.0
    encoded: dict[str, Tensor] | None = None
    told: tuple[State, HeldOut | None] | None = None


def encoder_of(base: Base, asked: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Name and complete parameters of the learner that encodes a support set: the base model's own for `auto`."""
    name = _encoder_name(base, asked)
    return name, asked["params"] if name == asked["learner"] else base.params_of(name, asked["task"])


def _encoder_name(base: Base, asked: Mapping[str, Any]) -> str:
    return base.spec.learners[asked["task"]][0] if asked["learner"] == auto.NAME else str(asked["learner"])


def kinship(base: Base, asked: Mapping[str, Any], device: torch.device) -> Hashable:
    """What adapts have in common that may share a pass, as far as it can be told without their support sets; or None.

    On a GPU all of a base model are encoded together. On a CPU that gains nothing; those share a pass whose learner
    adapts again for each example left out, without convolutions of its own.
    """
    examples = sum(asked["shots"].values())
    if (room := mapped.room(device, convolutions=True)) is not None:
        large = examples * math.prod(base.spec.shape or ()) > room.numbers
        return None if large else (base.reference, asked["task"])
    name = _encoder_name(base, asked)
    cls = learners[name]
    if not (cls.batches_tasks and cls.adapts_again() and auto.tries(name, asked)):
        return None
    if cls.adapts_body and not backbones[base.spec.backbone.partition("/")[0]].linear:
        return None
    return base.reference, asked["task"], asked["learner"], json.dumps(asked["params"]), examples


@torch.no_grad()
def adapt_together(several: Sequence[Opened], device: torch.device) -> list[Opened]:
    """Some adapts as far as they go in one pass: encoded where that pays, and told where their learner maps tasks."""
    done: dict[int, Opened] = dict(enumerate(several))
    encoders = [one.learner.backbone if one.learner.only_embeds else one.learner for one in several]
    if (room := mapped.room(device, convolutions=True)) is not None:
        for places in groups(encoders).values():
            for some in _filled(places, [one.tensors["x"].numel() for one in several], room.numbers):
                done |= zip(some, _encoded([several[i] for i in some], device), strict=True)
    for places in groups((one.learner, one.tensors["x"].shape) for one in several).values():
        learner = several[places[0]].learner
        asked = all(auto.tries(learner.name, several[i].order.spec["record"]) for i in places)
        if len(places) > 1 and asked and learner.adapts_again() and (room := learner.room(device)) is not None:
            done |= zip(places, _told([done[i] for i in places], device, room), strict=True)
    return [done[i] for i in range(len(several))]


def _filled(places: Sequence[int], sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    """Places in groups of at least two, as many in each as their sizes let."""
    group: list[int] = []
    for place in places:
        if group and sum(sizes[i] for i in group) + sizes[place] > most:
            yield from [group] if len(group) > 1 else []
            group = []
        group.append(place)
    yield from [group] if len(group) > 1 else []


def _encoded(several: Sequence[Opened], device: torch.device) -> list[Opened]:
    started = time.perf_counter()
    encoded = encode_supports(several[0].learner, [one.tensors for one in several], device)
    share = (time.perf_counter() - started) / len(several)
    return [replace(one, encoded=z, seconds=one.seconds + share) for one, z in zip(several, encoded, strict=True)]


def _told(several: Sequence[Opened], device: torch.device, room: mapped.Room) -> list[Opened]:
    several = [one if one.encoded is not None else _encoded([one], device)[0] for one in several]
    tasks = [task_of(one, one.encoded) for one in several if one.encoded is not None]
    if not room.holds(tasks[0]):
        return several
    started = time.perf_counter()
    told = adapt_and_leave_out_each(several[0].learner, tasks)
    share = (time.perf_counter() - started) / len(several)
    return [
        replace(one, told=said, seconds=one.seconds + share, told_seconds=share)
        for one, said in zip(several, told, strict=True)
    ]


def task_of(opened: Opened, encoded: Mapping[str, Tensor]) -> Support:
    """The encoded support set, on the device of the embeddings."""
    classes = opened.order.spec["record"]["classes"]
    ways = len(classes) if classes else None
    z = encoded["x"]
    return Support(z, sent(opened.tensors["y"], z.device), ways, encoded.get("unlabelled"))


def known_of(opened: Opened, task: Support) -> dict[str, Told]:
    """What the learner said ahead of examples that were left out, under its name."""
    state, held_out = opened.told or ({}, None)
    if held_out is None:
        return {}
    left_out = sparable(task, opened.learner.most_left_out)
    return {opened.learner.name: Told(left_out, held_out[0], state, 1000 * opened.told_seconds)}

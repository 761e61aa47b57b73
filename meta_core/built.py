"""Learners on base models, each built once, and one body for all that share it."""

import contextlib
import functools
import json
import threading
from collections.abc import Iterator
from weakref import WeakKeyDictionary

import torch

from meta_core.across import learner_across
from meta_core.backbone import Backbone
from meta_core.base import Base
from meta_core.fastest import fastest
from meta_core.learner import Learner
from meta_core.members import Member
from meta_core.types import Task

MOST_LEARNERS = 64
"""Built ones that are kept, the last used."""
_BUILDING = threading.RLock()
"""One at a time in a process, which captures one CUDA graph at a time; a combination builds its members inside."""


class Built:
    """The learners that were asked for last, able only to adapt and answer, on one device."""

    def __init__(self, device: torch.device, *, compiling: bool = False) -> None:
        self._device = device
        self._compiling = compiling
        self._bodies: WeakKeyDictionary[Base, dict[tuple[int, ...], Backbone]] = WeakKeyDictionary()
        self._known = functools.lru_cache(maxsize=MOST_LEARNERS)(self._build)

    def learner(
        self, base: Base, name: str, params: str, shape: tuple[int, ...], task: Task, *, others: tuple[Base, ...] = ()
    ) -> Learner:
        """A learner by name, its complete parameters as JSON, for inputs of a shape.

        `others` are the base models of its members that are not on `base`.
        """
        return self._known((base, *others), name, params, shape, task)

    def _build(self, bases: tuple[Base, ...], name: str, params: str, shape: tuple[int, ...], task: Task) -> Learner:
        with _building(self._device):
            return self._made(bases, name, params, shape, task)

    def _made(self, bases: tuple[Base, ...], name: str, params: str, shape: tuple[int, ...], task: Task) -> Learner:
        base, *others = bases
        if others:
            named = {None: base} | {other.reference: other for other in others}

            def build(member: Member) -> Learner:
                one = named[member.base]
                values = one.params_of(member.learner, task, member.params)
                return self.learner(one, member.learner, json.dumps(values), shape, task)

            return learner_across(name, json.loads(params), task, build)
        learner = base.learner_for(name, json.loads(params), shape, task).to(self._device).inference()
        if learner.only_embeds and not learner.adapts_body:
            learner.backbone = self._shared(base, shape, learner.backbone)
        return learner

    def _shared(self, base: Base, shape: tuple[int, ...], body: Backbone) -> Backbone:
        """One body, in its fastest form, for all learners on a base model and shape of inputs."""
        known = self._bodies.setdefault(base, {})
        if shape not in known:
            known[shape] = fastest(body, self._device, compiling=self._compiling)
        return known[shape]


@contextlib.contextmanager
def _building(device: torch.device) -> Iterator[None]:
    """Alone, on the device; its tensors can be written to outside inference mode too, whoever asked first."""
    on_it = torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
    with _BUILDING, on_it, torch.inference_mode(mode=False), torch.no_grad():
        yield

"""Predictions of concurrent requests computed together: while one batch computes, the next one gathers."""

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from prometheus_client import Histogram
from torch import Tensor

from app.bodies import plain_inputs
from app.cache import ModelCache
from app.schemas.inputs import ArrayInputs
from meta_core import metrics, tracing
from meta_core.adapted import AdaptedModel
from meta_core.answers import Answer
from meta_core.conformal import covering, rejecting, rejection_level, threshold
from meta_core.engine import Engine
from meta_core.errors import InvalidParameter, Unavailable
from meta_core.neighbours import Because, Neighbours
from meta_core.store import Store

MOST_WAITING = 1024
"""Requests beyond which new ones are refused."""
MOST_TOGETHER = 64
"""Requests of one batch."""
AT_ONCE = 8 * 1024
"""Characters of an array that is read without another thread,"""
FEW = 4
"""and inputs that are."""


@dataclass(frozen=True)
class Question:
    """One request to `/predict`."""

    tenant: str
    model: str
    inputs: list[Any] | ArrayInputs
    coverage: float | None = None
    reject: float | None = None
    explain: bool = False


@dataclass(frozen=True)
class Item:
    """What a batch answers: the inputs of one question, read already or still to be read with those of the others."""

    model: AdaptedModel
    inputs: Tensor | Sequence[Any]


class Batcher:
    """Answers questions in the order they came, on one thread, so that requests never share a core with each other.

    Few numbers are read with those of the whole batch. Everything else is read before: one large image delays nobody
    else's answer.
    """

    def __init__(self, engine: Engine, cache: ModelCache, store: Store) -> None:
        self._engine = engine
        self._neighbours = Neighbours(engine, store)
        self._cache = cache
        self._waiting: asyncio.Queue[tuple[Item, asyncio.Future[list[Answer]]]] = asyncio.Queue(MOST_WAITING)
        self._reading = 0
        self._thread = ThreadPoolExecutor(1, "predict")
        self._meter = functools.lru_cache(maxsize=1024)(self._find_meter)

    async def answer(self, question: Question) -> list[Answer]:
        """The answers to one request. Raises `Unavailable` when too many are waiting."""
        if self._reading + self._waiting.qsize() >= MOST_WAITING:
            raise Unavailable(f"{MOST_WAITING} requests are waiting already")
        started = time.perf_counter()
        self._reading += 1
        try:
            item = self._at_hand(question)
            if item is None:
                item = await asyncio.to_thread(self._read, question)
            finish = _finishing(question, item.model)
            because = await asyncio.to_thread(self._explained, item) if question.explain else None
        finally:
            self._reading -= 1
        future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        await self._waiting.put((item, future))
        with tracing.span("predict batch"):
            answers = await future
        self._meter(item.model.base, item.model.tenant, item.model.learner).observe(time.perf_counter() - started)
        answers = finish(answers)
        if because is None:
            return answers
        return [{**answer, "because": reasons} for answer, reasons in zip(answers, because, strict=True)]

    async def run(self) -> None:
        """Answer until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < MOST_TOGETHER and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            _note(batch, self._waiting.qsize())
            answers = await loop.run_in_executor(self._thread, self._compute, [item for item, _ in batch])
            for (_, future), answer in zip(batch, answers, strict=True):
                _settle(future, answer)

    def _find_meter(self, base: str, tenant: str, learner: str) -> Histogram:
        return metrics.PREDICT_SECONDS.labels(metrics.base_label(self._engine.catalogue.get(base, tenant)), learner)

    def _at_hand(self, question: Question) -> Item | None:
        """What is read sooner than another thread would be woken: few numbers, for a model in memory."""
        if not _is_small(question.inputs):
            return None
        model = self._cache.at_hand(question.tenant, question.model)
        inputs = plain_inputs(question.inputs)
        return Item(model, inputs) if model and len(inputs) <= FEW else None

    def _read(self, question: Question) -> Item:
        model = self._cache.get(question.tenant, question.model)
        return Item(model, self._engine.read(model, plain_inputs(question.inputs)))

    def _explained(self, item: Item) -> list[Because]:
        read = item.inputs if isinstance(item.inputs, Tensor) else self._engine.read(item.model, item.inputs)
        return self._neighbours.explain(item.model, read)

    def _compute(self, items: list[Item]) -> list[list[Answer] | Exception]:
        read = self._read_all(items)
        answers = iter(
            self._predict([(item.model, x) for item, x in zip(items, read, strict=True) if isinstance(x, Tensor)])
        )
        return [next(answers) if isinstance(x, Tensor) else x for x in read]

    def _read_all(self, items: list[Item]) -> list[Tensor | Exception]:
        """The inputs of each, those that were not read yet together; or the error that falls on it alone."""
        unread = [(item.model, item.inputs) for item in items if not isinstance(item.inputs, Tensor)]
        try:
            read = iter(self._engine.read_together(unread))
            return [item.inputs if isinstance(item.inputs, Tensor) else next(read) for item in items]
        except Exception as error:  # whose it is, each alone tells
            return [error] if len(items) == 1 else [self._read_all([item])[0] for item in items]

    def _predict(self, asked: list[tuple[AdaptedModel, Tensor]]) -> list[list[Answer] | Exception]:
        try:
            answers = self._engine.predict(asked)
            metrics.note_gpu_memory(self._engine.device)
            return [*answers]
        except Exception as error:  # falls on the question that caused it alone, and is raised by its request
            return [error] if len(asked) == 1 else [self._predict([one])[0] for one in asked]


def _is_small(inputs: list[Any] | ArrayInputs) -> bool:
    """A short array, or few rows of a table: files are none, for little of them may become much."""
    if isinstance(inputs, ArrayInputs):
        return len(inputs.npy) <= AT_ONCE
    return all(isinstance(row, dict) for row in inputs[: FEW + 1])


def _note(batch: Sequence[tuple[Item, object]], waiting: int) -> None:
    metrics.BATCH_REQUESTS.observe(len(batch))
    metrics.BATCH_INPUTS.observe(sum(len(item.inputs) for item, _ in batch))
    metrics.PREDICTIONS_WAITING.set(waiting)


def _finishing(question: Question, model: AdaptedModel) -> Callable[[list[Answer]], list[Answer]]:
    """What to do with the answers once they are there. Raises `InvalidParameter` for what the model cannot promise."""
    coverage, reject = question.coverage, question.reject
    limit = None if coverage is None else threshold(model.left_out, coverage)
    level = None if reject is None else _level(model, reject)

    def finish(answers: list[Answer]) -> list[Answer]:
        if limit is not None:
            answers = covering(answers, model.classes, limit)
        return answers if level is None else rejecting(answers, level)

    return finish


def _level(model: AdaptedModel, reject: float) -> float:
    if model.novelty is None:
        raise InvalidParameter(f"reject is for classes; {model.id} does {model.task}", "reject")
    return rejection_level(model.novelty.left_out, reject)


def _settle(future: asyncio.Future[list[Answer]], answer: list[Answer] | Exception) -> None:
    if future.cancelled():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)

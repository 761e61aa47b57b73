"""Predictions of concurrent requests computed together: while one batch computes, the next one gathers."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from app.bodies import plain_inputs
from app.cache import ModelCache
from app.schemas.inputs import ArrayInputs
from meta_core import metrics, tracing
from meta_core.adapted import AdaptedModel
from meta_core.conformal import covering, rejecting, rejection_level, threshold
from meta_core.engine import Answer, Engine
from meta_core.errors import InvalidParameter, Unavailable
from meta_core.neighbours import Neighbours
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


Item = tuple[AdaptedModel, Tensor]


class Batcher:
    """Answers questions in the order they came, on one thread, so that requests never share a core with each other.

    Reading the inputs is not part of a batch: one large image delays nobody else's answer.
    """

    def __init__(self, engine: Engine, cache: ModelCache, store: Store) -> None:
        self._engine = engine
        self._neighbours = Neighbours(engine, store)
        self._cache = cache
        self._waiting: asyncio.Queue[tuple[Item, asyncio.Future[list[Answer]]]] = asyncio.Queue(MOST_WAITING)
        self._reading = 0
        self._thread = ThreadPoolExecutor(1, "predict")

    async def answer(self, question: Question) -> list[Answer]:
        """The answers to one request. Raises `Unavailable` when too many are waiting."""
        if self._reading + self._waiting.qsize() >= MOST_WAITING:
            raise Unavailable(f"{MOST_WAITING} requests are waiting already")
        started = time.perf_counter()
        self._reading += 1
        try:
            item = self._read_at_once(question)
            if item is None:
                item = await asyncio.to_thread(self._read, question)
            finish = _finishing(question, item[0])
            because = await asyncio.to_thread(self._neighbours.explain, *item) if question.explain else None
        finally:
            self._reading -= 1
        future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        await self._waiting.put((item, future))
        with tracing.span("predict batch"):
            answers = await future
        metrics.PREDICT_SECONDS.labels(*self._labels(item)).observe(time.perf_counter() - started)
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

    def _labels(self, item: Item) -> tuple[str, str]:
        model = item[0]
        return metrics.base_label(self._engine.catalogue.get(model.base, model.tenant)), model.learner

    def _read_at_once(self, question: Question) -> Item | None:
        """Read what is read sooner than another thread would be woken: few numbers, for a model in memory."""
        if not _is_small(question.inputs):
            return None
        model = self._cache.at_hand(question.tenant, question.model)
        inputs = plain_inputs(question.inputs)
        return (model, self._engine.read(model, inputs)) if model and len(inputs) <= FEW else None

    def _read(self, question: Question) -> Item:
        model = self._cache.get(question.tenant, question.model)
        return model, self._engine.read(model, plain_inputs(question.inputs))

    def _compute(self, items: list[Item]) -> list[list[Answer] | Exception]:
        try:
            answers = self._engine.predict(items)
            metrics.note_gpu_memory(self._engine.device)
            return [*answers]
        except Exception as error:  # falls on the question that caused it alone, and is raised by its request
            return [error] if len(items) == 1 else [self._compute([item])[0] for item in items]


def _is_small(inputs: list[Any] | ArrayInputs) -> bool:
    """A short array, or few rows of a table: files are none, for little of them may become much."""
    if isinstance(inputs, ArrayInputs):
        return len(inputs.npy) <= AT_ONCE
    return all(isinstance(row, dict) for row in inputs[: FEW + 1])


def _note(batch: Sequence[tuple[Item, object]], waiting: int) -> None:
    metrics.BATCH_REQUESTS.observe(len(batch))
    metrics.BATCH_INPUTS.observe(sum(len(x) for (_, x), _ in batch))
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

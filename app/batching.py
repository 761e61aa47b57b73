"""Predictions of concurrent requests computed together: while one batch computes, the next one gathers."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from app.cache import ModelCache
from meta_core.adapted import AdaptedModel
from meta_core.engine import Answer, Engine
from meta_core.errors import Unavailable

MOST_WAITING = 1024
"""Requests beyond which new ones are refused."""
MOST_TOGETHER = 64
"""Requests of one batch."""


@dataclass(frozen=True)
class Question:
    """One request to `/predict`."""

    tenant: str
    model: str
    inputs: Sequence[Any]


class Batcher:
    """Answers questions in the order they came, on one thread, so that requests never share a core with each other."""

    def __init__(self, engine: Engine, cache: ModelCache) -> None:
        self._engine = engine
        self._cache = cache
        self._waiting: asyncio.Queue[tuple[Question, asyncio.Future[list[Answer]]]] = asyncio.Queue(MOST_WAITING)
        self._thread = ThreadPoolExecutor(1, "predict")

    async def answer(self, question: Question) -> list[Answer]:
        """The answers to one request. Raises `Unavailable` when too many are waiting."""
        future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((question, future))
        except asyncio.QueueFull:
            raise Unavailable(f"{MOST_WAITING} requests are waiting already") from None
        return await future

    async def run(self) -> None:
        """Answer until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < MOST_TOGETHER and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            answers = await loop.run_in_executor(self._thread, self._compute, [question for question, _ in batch])
            for (_, future), answer in zip(batch, answers, strict=True):
                _settle(future, answer)

    def _compute(self, questions: list[Question]) -> list[list[Answer] | Exception]:
        read = [self._read(question) for question in questions]
        try:
            answers = iter(self._engine.predict([item for item in read if not isinstance(item, Exception)]))
        except Exception as error:  # falls on the question that caused it alone, and is raised by its request
            return [error] if len(questions) == 1 else [self._compute([question])[0] for question in questions]
        return [item if isinstance(item, Exception) else next(answers) for item in read]

    def _read(self, question: Question) -> tuple[AdaptedModel, Tensor] | Exception:
        try:
            model = self._cache.get(question.tenant, question.model)
            return model, self._engine.read(model, question.inputs)
        except Exception as error:  # belongs to this one question, whose request raises it
            return error


def _settle(future: asyncio.Future[list[Answer]], answer: list[Answer] | Exception) -> None:
    if future.cancelled():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)

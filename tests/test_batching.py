"""Requests that come together are answered together, each as it would be alone."""

import asyncio
import base64
import io
from typing import Any

import numpy as np
import pytest
import torch

from app.batching import Batcher, Question
from app.cache import ModelCache
from app.schemas.inputs import ArrayInputs
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine, TaskRequest
from meta_core.errors import InvalidExample, InvalidTask, MetaError
from meta_core.store import Store
from tests.adapting import ROWS, adapted
from tests.drawings import FIGURES, draw, support_of


def pixels(*seeds: int, blank: bool = False) -> ArrayInputs:
    drawn = [np.asarray(draw(FIGURES[seed % 3], seed, size=40).convert("L")) for seed in seeds]
    buffer = io.BytesIO()
    np.save(buffer, np.stack([np.zeros_like(one) if blank else one for one in drawn]))
    return ArrayInputs(npy=base64.b64encode(buffer.getvalue()).decode())


def asked(store: Store, *batches: list[Question]) -> list[Any]:
    """Answers to questions, those of each batch asked at once; what went wrong in the place of an answer."""

    async def all_of_them() -> list[Any]:
        batcher = Batcher(Engine(Catalogue(store), torch.device("cpu")), ModelCache(store, 1 << 20), store)
        answers = []
        for questions in batches:
            waiting = [asyncio.create_task(batcher.answer(question)) for question in questions]
            running = asyncio.create_task(batcher.run())
            answers += await asyncio.gather(*waiting, return_exceptions=True)
            running.cancel()
        return answers

    return asyncio.run(all_of_them())


@pytest.fixture
def questions(store: Store) -> list[Question]:
    """Of two models of images and one of tables; the first to read them into the cache."""
    support = support_of(2)
    task = TaskRequest(base="omniglot", inputs=support["inputs"], labels=support["labels"], learner="protonet")
    one, other, table = adapted(store, task), adapted(store, task), adapted(store)
    inputs = [(one, pixels(1)), (other, pixels(2, 3)), (table, ROWS[:2]), (one, pixels(4, 5))]
    return [Question("default", model, values) for model, values in inputs]


def test_answers_are_those_that_each_is_given_alone(store: Store, questions: list[Question]) -> None:
    alone = asked(store, *([question] for question in questions * 2))[len(questions) :]
    together = asked(store, questions, questions)[len(questions) :]
    for found, expected in zip(together, alone, strict=True):
        assert [one["label"] for one in found] == [one["label"] for one in expected]
        for one, other in zip(found, expected, strict=True):
            assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
            assert one["unknown"] == pytest.approx(other["unknown"], abs=1e-5)


def test_what_is_wrong_falls_on_its_own_request(store: Store, questions: list[Question]) -> None:
    one = questions[0]
    blank = Question("default", one.model, pixels(1, blank=True))
    nothing = Question("default", questions[2].model, [])
    found = asked(store, questions, [one, blank, *questions, nothing])[len(questions) :]
    assert isinstance(found[1], InvalidExample)
    assert isinstance(found[-1], InvalidTask)
    assert not any(isinstance(answer, MetaError) for answer in (found[0], *found[2:-1]))

"""Learners that are built once, by whichever request comes first."""

import threading
from functools import partial

import pytest
import torch

from meta_core import built
from meta_core.backbone import Backbone
from meta_core.base import Base, BaseSpec
from meta_core.built import Built
from meta_core.graphed import GraphedBody
from tests.test_graphed import eagerly

CPU = torch.device("cpu")
SHAPE = (4,)


@pytest.fixture
def base() -> Base:
    spec = BaseSpec(
        modality="vector",
        backbone="mlp",
        backbone_config={"width": 8},
        learners={"classification": ("protonet", {})},
        shape=SHAPE,
    )
    weights = spec.build(SHAPE, "classification").state_dict()
    return Base(name="mine", version=1, summary="", spec=spec, weights=weights, provenance={}, scores={})


def test_what_inference_mode_built_serves_outside_it(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    graphed = partial(GraphedBody, record=eagerly)
    monkeypatch.setattr(built, "fastest", lambda body, device, compiling: graphed(body))  # as on a GPU
    learners, x = Built(CPU), torch.rand(3, *SHAPE)
    with torch.inference_mode():
        learner = learners.learner(base, "protonet", "{}", SHAPE, "classification")
        expected = learner.encode(x).clone()
    with torch.no_grad():
        assert torch.equal(learner.encode(x), expected)
    with torch.inference_mode():
        descends = learners.learner(base, "finetune", "{}", SHAPE, "classification")
    assert not any(value.is_inference() for value in descends.state_dict().values())


def test_threads_that_ask_at_once_build_one_body(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    learners, bodies, other = Built(CPU), [], []

    def ask(name: str) -> Backbone:
        return learners.learner(base, name, "{}", SHAPE, "classification").backbone

    second = threading.Thread(target=lambda: other.append(ask("cosine")))

    def slow(body: Backbone, device: torch.device, *, compiling: bool) -> Backbone:
        bodies.append(body)
        if len(bodies) == 1:
            second.start()
            second.join(0.5)  # it would be through by then if it did not wait
        return body

    monkeypatch.setattr(built, "fastest", slow)
    first = ask("protonet")
    second.join()
    assert other == [first]
    assert bodies == [first]

"""Members of one adapted model on two base models, over HTTP."""

from typing import Any

import pytest

from tests.drawings import FIGURES, base64_png, draw, support_of
from tests.e2e.service import Service

MEMBERS = [{"learner": "protonet"}, {"learner": "ridge", "base": "omniglot-views"}]
QUERIES = [base64_png(draw(figure, 50)) for figure in FIGURES]


def asked(base: str = "omniglot", **changed: Any) -> dict[str, Any]:
    usual = {"base": base, "support": support_of(3), "learner": "stack", "params": {"members": MEMBERS}}
    return {**usual, **changed}


def test_two_base_models_answer_together(service: Service) -> None:
    made = service.adapt(asked())
    assert made.status_code == 201, made.text
    model = made.json()
    assert model["base"] == "omniglot@1"
    assert model["params"]["members"] == [
        {"learner": "protonet", "params": {}},
        {"learner": "ridge", "params": {}, "base": "omniglot-views@1"},
    ]
    assert model["scores"]["loo_examples"] == 9
    answers = service.predict(model["id"], QUERIES).json()["predictions"]
    assert [answer["label"] for answer in answers] == list(FIGURES)
    path = f"/models/{model['id']}/examples"
    more = service.client.post(path, json={"inputs": QUERIES[:1], "labels": [FIGURES[0]]})
    assert more.status_code == 201, more.text
    assert more.json()["params"] == model["params"]
    support = support_of(3)
    together = {"inputs": [*support["inputs"], QUERIES[0]], "labels": [*support["labels"], FIGURES[0]]}
    scratch = service.adapt(asked(support=together)).json()["id"]
    both = [service.predict(id, QUERIES).json()["predictions"] for id in (more.json()["id"], scratch)]
    for one, other in zip(*both, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-4)
    because = service.client.post("/predict", json={"model": scratch, "inputs": QUERIES[:1], "explain": True}).json()
    assert because["predictions"][0]["because"][0]["example"] == 9


@pytest.mark.parametrize(
    ("base", "status", "reason"),
    [
        ("speech", 422, "the modality differs (image and audio)"),
        ("nothing", 404, "no base model 'nothing'"),
        ("omniglot-views@7", 404, "omniglot-views@1"),
    ],
)
def test_what_cannot_join_is_said(service: Service, base: str, status: int, reason: str) -> None:
    members = [{"learner": "protonet"}, {"learner": "ridge", "base": base}]
    answer = service.adapt(asked(params={"members": members}))
    assert (answer.status_code, reason in answer.json()["detail"]) == (status, True), answer.text

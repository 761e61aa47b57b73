"""A model is improved example by example over HTTP, and its versions are told."""

from typing import Any

import pytest

from meta_core.ids import support_key
from tests.drawings import FIGURES, base64_png, draw, png, support_of
from tests.e2e.service import Service
from tests.worker.site import until


@pytest.fixture(scope="module")
def first(service: Service) -> dict[str, Any]:
    support = support_of(2)
    two = {"inputs": support["inputs"][:4], "labels": support["labels"][:4]}
    model: dict[str, Any] = service.adapt({"base": "omniglot", "support": two, "learner": "protonet"}).json()
    return model


def test_a_model_learns_more_examples_and_forgets_one(service: Service, first: dict[str, Any]) -> None:
    assert (first["version"], first["parent"], first["lineage"]) == (1, None, first["id"])
    path, drawing = f"/models/{first['id']}/examples", base64_png(draw(FIGURES[2], 7))
    more = service.client.post(path, json={"inputs": [drawing], "labels": [FIGURES[2]]})
    assert more.status_code == 201, more.text
    second = more.json()
    assert (second["version"], second["parent"], second["lineage"]) == (2, first["id"], first["id"])
    assert (second["classes"], second["learner"], second["change"]) == (sorted(FIGURES), "protonet", {"added": 1})
    files = [(FIGURES[2], ("a.png", png(draw(FIGURES[2], 8)))), (FIGURES[0], ("b.png", png(draw(FIGURES[0], 9))))]
    third = service.client.post(f"/models/{second['id']}/examples", files=files).json()
    assert third["shots"] == {FIGURES[0]: 3, FIGURES[1]: 2, FIGURES[2]: 2}
    less = service.client.delete(f"/models/{third['id']}/examples/0")
    assert less.status_code == 201, less.text
    assert less.json()["shots"][FIGURES[0]] == 2
    asked = service.predict(less.json()["id"], [base64_png(draw(figure, 30)) for figure in FIGURES]).json()
    assert [answer["label"] for answer in asked["predictions"]] == list(FIGURES)
    told = service.client.get(f"/models/{second['id']}/versions").json()
    assert told["lineage"] == first["id"]
    chain = [(one["id"], one["parent"], one["version"]) for one in told["data"] if one["id"] != first["id"]]
    assert chain == [
        (second["id"], first["id"], 2),
        (third["id"], second["id"], 3),
        (less.json()["id"], third["id"], 4),
    ]
    assert second["id"] in told["data"][0]["children"]


def test_a_repeated_change_is_made_once(service: Service, first: dict[str, Any]) -> None:
    path, body = f"/models/{first['id']}/examples", {"inputs": [base64_png(draw(FIGURES[0], 8))], "labels": ["circle"]}
    made = {service.client.post(path, json=body, headers={"Idempotency-Key": "add"}).json()["id"] for _ in range(3)}
    assert len(made) == 1
    removed = {service.client.delete(f"{path}/1", headers={"Idempotency-Key": "add"}).json()["id"] for _ in range(2)}
    assert len(removed) == 1
    assert removed != made
    other = service.client.delete(f"{path}/2", headers={"Idempotency-Key": "add"})
    assert (other.status_code, other.json()["code"]) == (422, "invalid_request")


def test_what_is_wrong_is_said(service: Service, first: dict[str, Any]) -> None:
    path = f"/models/{first['id']}/examples"
    bad = service.client.post(path, json={"inputs": ["!"], "labels": ["circle"]})
    assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (422, "/inputs/0")
    kind = service.client.post(path, json={"inputs": [base64_png(draw(FIGURES[0], 1))], "labels": [3]})
    assert (kind.status_code, kind.json()["errors"][0]["pointer"]) == (422, "/labels/0")
    assert service.client.delete(f"{path}/99").status_code == 404
    assert service.client.delete(f"{path}/x").status_code == 422
    assert service.client.get("/models/mdl_" + "0" * 32 + "/versions").status_code == 404


def test_a_model_without_its_support_set_cannot_be_changed(service: Service) -> None:
    body = {"base": "omniglot", "support": support_of(1), "keep_support": False}
    model = service.adapt(body).json()["id"]
    until(lambda: not service.store.exists(support_key("default", model)))
    answer = service.client.delete(f"/models/{model}/examples/0")
    assert (answer.status_code, answer.json()["code"]) == (409, "unusable")
    assert "was not kept" in answer.json()["detail"]
    assert service.client.post(f"/models/{model}/readapt", json={"base": "table"}).status_code == 422


def test_inputs_to_label_next_are_ranked(service: Service, first: dict[str, Any]) -> None:
    pool = [base64_png(draw(figure, seed)) for figure in FIGURES for seed in (40, 41)]
    answer = service.client.post(f"/models/{first['id']}/suggest", json={"inputs": pool, "count": 4})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["method"] == "uncertainty-weighted variance reduction"
    assert told["suggestions"][0]["index"] in (4, 5), "a figure of no class it knows is worth most"
    assert len({one["index"] for one in told["suggestions"]}) == 4
    bare = service.adapt({"base": "omniglot", "support": support_of(1), "keep_support": False}).json()["id"]
    without = service.client.post(f"/models/{bare}/suggest", json={"inputs": pool}).json()
    assert (without["method"], len(without["suggestions"])) == ("margin", 6)
    bad = service.client.post(f"/models/{first['id']}/suggest", json={"inputs": []})
    assert bad.status_code == 422

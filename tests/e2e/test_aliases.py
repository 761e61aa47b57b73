"""Clients keep one name while models move."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.drawings import support_of
from tests.e2e.service import Service

IMAGES = support_of(1)


@pytest.fixture(scope="module")
def models(service: Service) -> list[str]:
    return [service.adapt({"base": "omniglot", "support": support_of(shots)}).json()["id"] for shots in (1, 2)]


@pytest.fixture
def name(service: Service) -> Iterator[str]:
    yield "drawings"
    service.client.delete("/aliases/drawings")


def put(service: Service, name: str, **body: Any) -> dict[str, Any]:
    answer = service.client.put(f"/aliases/{name}", json=body)
    assert answer.status_code == 200, answer.text
    alias: dict[str, Any] = answer.json()
    return alias


def answering(service: Service, name: str, **more: Any) -> str:
    body = {"model": name, "inputs": IMAGES["inputs"][:1], **more}
    answer = service.client.post("/predict", json=body).raise_for_status().json()
    assert answer["alias"] == name
    assert len(answer["predictions"]) == 1
    return str(answer["model"])


def test_a_name_moves_from_model_to_model(service: Service, models: list[str], name: str) -> None:
    for model in models:
        assert put(service, name, model=model)["models"] == {model: 1.0}
        assert answering(service, name) == model
    assert [alias["name"] for alias in service.client.get("/aliases").json()] == [name]
    assert service.client.get(f"/aliases/{name}").json()["models"] == {models[1]: 1.0}
    assert service.client.delete(f"/aliases/{name}").status_code == 204
    gone = service.client.post("/predict", json={"model": name, "inputs": IMAGES["inputs"][:1]})
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    assert service.client.delete(f"/aliases/{name}").status_code == 404


def test_questions_are_split_and_a_key_sticks(service: Service, models: list[str], name: str) -> None:
    assert put(service, name, models=dict(zip(models, (3, 1), strict=True)))["models"] == {
        models[0]: 0.75,
        models[1]: 0.25,
    }
    by_key = {key: {answering(service, name, key=key) for _ in range(2)} for key in map(str, range(60))}
    assert all(len(found) == 1 for found in by_key.values())
    assert set.union(*by_key.values()) == set(models)


def test_a_model_behind_a_name_is_not_deleted(service: Service, name: str) -> None:
    model = service.adapt({"base": "omniglot", "support": IMAGES}).json()["id"]
    put(service, name, model=model)
    refused = service.client.delete(f"/models/{model}")
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert name in refused.json()["detail"]
    service.client.delete(f"/aliases/{name}")
    assert service.client.delete(f"/models/{model}").status_code == 204
    assert service.client.put(f"/aliases/{name}", json={"model": model}).status_code == 410


def test_what_is_wrong_is_said(service: Service, models: list[str]) -> None:
    table = {"inputs": [{"a": 0}, {"a": 1}], "labels": ["x", "y"]}
    other = service.adapt({"base": "table", "support": table}).json()["id"]
    for body, status in (
        ({}, 422),
        ({"model": models[0], "models": {models[0]: 1}}, 422),
        ({"models": {models[0]: 0}}, 422),
        ({"models": {models[0]: 1, other: 1}}, 422),
        ({"model": "mdl_" + "0" * 32}, 404),
        ({"model": "drawings"}, 404),
    ):
        answer = service.client.put("/aliases/wrong", json=body)
        assert answer.status_code == status, answer.text
    assert service.client.put("/aliases/mdl_x", json={"model": models[0]}).status_code == 404
    assert service.client.get("/aliases/wrong").status_code == 404

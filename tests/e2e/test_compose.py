"""Base models put together from a pretrained body over HTTP, and what is learned on them."""

from typing import Any

import pytest

from tests.drawings import base64_png, draw
from tests.e2e.service import Service
from tests.timm_weights import needs_timm, weights_of
from tests.worker.site import until


def composed(**changed: Any) -> dict[str, Any]:
    return {"name": "words", "modality": "text", "backbone": "text-hash", "learner": "simpleshot", **changed}


def learned(service: Service, body: dict[str, Any]) -> dict[str, Any]:
    """The adapted model, as soon as it is ready: the worker may have to import the library first."""
    model = service.adapt(body)
    assert model.is_success, model.text
    id = model.json()["id"]
    until(lambda: service.client.get(f"/models/{id}").json()["status"] in ("ready", "failed"), seconds=300)
    view: dict[str, Any] = service.client.get(f"/models/{id}").json()
    return view


@needs_timm
def test_the_transfer_learning_recipe_is_put_together_and_learned_on(service: Service) -> None:
    recipe = {
        "name": "photos",
        "summary": "photographs",
        "backbone": "timm/test_resnet",
        "backbone_params": {"weights": weights_of("timm/test_resnet"), "size": 64},
        "learner": "finetune",
        "params": {"head": "mlp", "hidden": 1024},
    }
    made = service.client.post("/bases", json=recipe)
    assert made.status_code == 201, made.text
    assert made.headers["Location"] == "/bases/photos@1"
    assert made.json()["preprocessing"] == {"size": 64, "channels": 3, "framing": "crop", "crop": 0.95}
    assert made.json()["learners"] == {"classification": "finetune", "regression": "finetune"}
    drawings = [draw("circle", seed, paper=paper) for paper in ("red", "blue") for seed in range(3)]
    support = {"inputs": [base64_png(image) for image in drawings], "labels": ["red"] * 3 + ["blue"] * 3}
    model = learned(service, {"base": "photos", "support": support})
    assert model["params"]["hidden"] == 1024
    answer = service.predict(model["id"], support["inputs"]).json()
    assert [prediction["label"] for prediction in answer["predictions"]] == support["labels"]
    moved = learned(service, {"base": "photos", "learner": "lora", "params": {"steps": 1}, "support": support})
    assert moved["status"] == "ready"


def test_an_encoder_by_name_is_a_base_model(service: Service) -> None:
    assert service.client.post("/bases", json=composed()).json()["reference"] == "words@1"
    texts = {"inputs": ["a parcel", "my parcel", "a refund", "my refund"], "labels": ["p", "p", "r", "r"]}
    model = service.adapt({"base": "words", "support": texts}).json()
    assert service.predict(model["id"], ["the refund"]).json()["predictions"][0]["label"] == "r"


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"backbone": "conv4", "modality": "image"}, 422, "random weights it begins with"),
        ({"learner": "maml"}, 422, "must be meta-trained"),
        ({"backbone": "nothing"}, 404, "nothing"),
        ({"preprocessing": {"size": 3}}, 422, "has no parameter 'size'"),
    ],
)
def test_what_cannot_be_put_together_says_why(
    service: Service, changed: dict[str, Any], status: int, words: str
) -> None:
    response = service.client.post("/bases", json=composed(**changed))
    assert (response.status_code, words in response.text) == (status, True), response.text

"""Texts over HTTP, as JSON and as files."""

import pytest

from tests.e2e.service import Service

TEXTS = {
    "delivery": ["Where is my parcel?", "My parcel has not arrived yet", "When will the parcel be delivered?"],
    "refund": ["I want my money back", "Please refund the payment", "How do I get a refund of my money?"],
}
NEW = ["Has my parcel been delivered?", "Can I get a refund?"]


def test_texts_are_learned_from_and_told_apart(service: Service) -> None:
    labels = [label for label, texts in TEXTS.items() for _ in texts]
    support = {"inputs": [text for texts in TEXTS.values() for text in texts], "labels": labels}
    model = service.adapt({"base": "text-hash", "support": support}).json()
    assert (model["modality"], model["classes"]) == ("text", ["delivery", "refund"])
    answer = service.predict(model["id"], NEW).json()
    assert [prediction["label"] for prediction in answer["predictions"]] == ["delivery", "refund"]


def test_files_of_text_are_read_like_strings(service: Service) -> None:
    files = [(label, (f"{i}.txt", text.encode())) for label, texts in TEXTS.items() for i, text in enumerate(texts)]
    model = service.client.post("/adapt", data={"base": "text-hash"}, files=files).json()
    asked = [("file", (f"{i}.txt", f"{text}\n".encode())) for i, text in enumerate(NEW)]
    answer = service.client.post("/predict", data={"model": model["id"]}, files=asked).json()
    as_strings = service.predict(model["id"], NEW).json()
    assert [prediction["label"] for prediction in answer["predictions"]] == ["delivery", "refund"]
    assert answer["predictions"] == as_strings["predictions"]


@pytest.mark.parametrize(("bad", "reason"), [("", "the text is empty"), (7, "a text is a string; found 7")])
def test_what_is_no_text_is_refused_by_its_place(service: Service, bad: object, reason: str) -> None:
    support = {"inputs": ["a", bad], "labels": ["x", "y"]}
    response = service.adapt({"base": "text-hash", "support": support})
    assert response.status_code == 422
    assert response.json()["errors"] == [{"pointer": "/support/inputs/1", "detail": reason}]


def test_base_models_say_what_they_read(service: Service) -> None:
    bases = {base["name"]: base for base in service.client.get("/bases").json()}
    assert bases["text-hash"]["modality"] == bases["text-minilm"]["modality"] == "text"
    assert "English" in bases["text-minilm"]["summary"]

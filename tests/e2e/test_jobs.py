"""Long work over HTTP: watched, graded, moved to newer versions."""

import json
from typing import Any

import pytest

from tests.drawings import support_of
from tests.e2e.service import Service
from tests.e2e.test_datasets import LINES, added, finished, trained
from tests.worker.site import sine_recipe

Event = tuple[str, str, dict[str, Any]]
ROWS = [[i % 3, i / 40] for i in range(30)]
LABELS = [f"class {i % 3}" for i in range(30)]


def events(service: Service, id: str, last: str | None = None) -> list[Event]:
    headers = {"Last-Event-ID": last} if last else {}
    with service.client.stream("GET", f"/jobs/{id}/events", headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        text = "".join(stream.iter_text())
    blocks = [
        dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n") if "data:" in block
    ]
    return [(block["event"], block["id"], json.loads(block["data"])) for block in blocks]


def test_a_training_is_watched_to_its_end_and_again_from_where_it_was_left(trainer: Service) -> None:
    recipe = sine_recipe(60, validate_every=20)
    id = trainer.client.post("/meta-train", json=recipe).json()["id"]
    seen = events(trainer, id)
    curve = [(block_id, data["step"]) for name, block_id, data in seen if name == "validation"]
    assert curve == [("1", 20), ("2", 40), ("3", 60)]
    name, last, job = seen[-1]
    assert (name, last, job["status"], job["base"].split("@")[0]) == ("end", "end", "ready", "sine")
    assert job["episodes"] == 60
    assert [point[0] for point in job["curve"]] == [20, 40, 60]
    assert [data["status"] for name, _, data in seen if name == "progress"]
    again = events(trainer, id, last="2")
    assert [(name, block_id) for name, block_id, _ in again] == [("validation", "3"), ("end", "end")]
    assert trainer.client.get(f"/jobs/{id}/events", headers={"Last-Event-ID": "end"}).status_code == 204
    assert trainer.client.get(f"/jobs/job_{'0' * 32}/events").status_code == 404


def test_a_long_training_holds_up_no_adapt_and_cancelling_it_ends_its_stream(trainer: Service) -> None:
    id = trainer.client.post("/meta-train", json=sine_recipe(1_000_000)).json()["id"]
    headers: dict[str, str] = {}
    with trainer.client.stream("GET", f"/jobs/{id}/events", headers=headers) as stream:
        text = ""
        for chunk in stream.iter_text():
            text += chunk
            if '"step"' in text and "event: end" not in text and not headers:
                headers["cancelled"] = "yes"
                learned = trainer.adapt({"base": "omniglot", "support": support_of(1)}, "wait=60")
                assert (learned.status_code, trainer.client.get(f"/jobs/{id}").json()["status"]) == (201, "running")
                assert trainer.client.delete(f"/jobs/{id}").status_code == 202
    assert '"eta_seconds"' in text
    assert '"status": "cancelled"' in text.split("event: end")[1]


def test_labelled_queries_are_graded_at_once(service: Service) -> None:
    rows = [{"x": i % 2, "y": i} for i in range(20)]
    labels = ["even" if i % 2 == 0 else "odd" for i in range(20)]
    model = service.adapt({"base": "table", "support": {"inputs": rows, "labels": labels}}).json()["id"]
    body = {"model": model, "inputs": rows[:6], "labels": labels[:6]}
    response = service.client.post("/evaluate", json=body)
    assert response.status_code == 200, response.text
    scores = response.json()["scores"]
    answers = service.predict(model, rows[:6]).json()["predictions"]
    right = [answer["label"] == label for answer, label in zip(answers, labels, strict=False)]
    assert scores["accuracy"] == pytest.approx(sum(right) / 6)
    assert scores["confusion"]["classes"] == ["even", "odd"]
    bad = service.client.post("/evaluate", json={**body, "labels": [*labels[:5], "blue"]})
    assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (422, "/labels/5")
    assert service.client.post("/evaluate", json={"model": model}).status_code == 422
    assert service.client.post("/evaluate", json={**body, "dataset": "omniglot"}).status_code == 422


def test_a_regression_is_graded_by_its_error_and_coverage(service: Service) -> None:
    rows = [{"x": i / 10} for i in range(30)]
    targets = [i / 5 + 0.01 * (i % 3) for i in range(30)]
    model = service.adapt({"base": "table", "support": {"inputs": rows, "labels": targets}}).json()["id"]
    scores = service.client.post("/evaluate", json={"model": model, "inputs": rows, "labels": targets}).json()["scores"]
    assert scores["rmse"] < 0.1
    assert scores["r2"] > 0.99
    assert 0 <= scores["coverage"] <= 1


def test_base_and_adapted_models_are_graded_on_an_upload(trainer: Service) -> None:
    card = added(trainer, LINES)
    made = trained(trainer, name="kinds", dataset=card["id"], backbone="mlp")
    assert made["status"] == "ready", made
    asked = {"base": "kinds", "dataset": {"id": card["id"]}, "ways": 2, "shots": 2, "queries": 5, "tasks": 10}
    response = trainer.client.post("/evaluate", json=asked)
    assert response.status_code == 202, response.text
    assert response.headers["Location"] == f"/jobs/{response.json()['id']}"
    job = finished(trainer, response.json()["id"])
    assert (job["status"], job["kind"]) == ("ready", "evaluate"), job
    scores = job["scores"]
    assert (scores["tasks"], scores["base"]) == (10, made["base"])
    assert 0 <= scores["accuracy"] <= 1
    assert sum(row["examples"] for row in scores["worst_classes"]) == 10 * 2 * 5
    support = {"inputs": ROWS, "labels": LABELS}
    model = trainer.adapt({"base": "kinds", "support": support}).json()["id"]
    response = trainer.client.post("/evaluate", json={"model": model, "dataset": {"id": card["id"]}})
    scores = finished(trainer, response.json()["id"])["scores"]
    assert scores["examples"] == 60  # of three of the eight classes
    assert sum(map(sum, scores["confusion"]["matrix"])) == 60


def test_adapted_models_are_moved_to_a_newer_version_one_or_all(trainer: Service) -> None:
    recipe = {**sine_recipe(5), "name": "tide"}
    first = finished(trainer, trainer.client.post("/meta-train", json=recipe).json()["id"])["base"]
    support = {"inputs": [[x / 2] for x in range(-6, 6)], "labels": [x / 3 + 0.1 for x in range(-6, 6)]}
    members = {"members": [{"learner": "cnp", "params": {"width": 8}}, {"learner": "gp"}]}
    body = {"base": "tide", "learner": "average", "params": members, "support": support}
    models = [trainer.adapt(body).json()["id"] for _ in range(3)]
    assert trainer.client.post(f"/models/{models[0]}/readapt").status_code == 422  # there is no other version
    second = finished(trainer, trainer.client.post("/meta-train", json=recipe).json()["id"])["base"]
    response = trainer.client.post(f"/models/{models[0]}/readapt")
    assert response.status_code == 201, response.text
    moved = response.json()
    assert (moved["base"], moved["readapted_from"], moved["status"]) == (second, models[0], "ready")
    assert trainer.predict(moved["id"], [[0.5]]).status_code == 200
    assert trainer.client.get(f"/models/{models[0]}").json()["base"] == first
    job = finished(trainer, trainer.client.post("/bases/tide/readapt").json()["id"])
    assert (job["status"], job["kind"], job["base"]) == ("ready", "readapt", second), job
    assert [row["from"] for row in job["models"]] == sorted(models[1:])
    assert trainer.client.get(f"/models/{job['models'][0]['to']}").json()["base"] == second
    back = trainer.client.post(f"/models/{moved['id']}/readapt", json={"base": first})
    assert (back.status_code, back.json()["base"]) == (201, first)
    other = trainer.client.post(f"/models/{moved['id']}/readapt", json={"base": "table"})
    assert (other.status_code, "must be meta-trained" in other.json()["detail"]) == (422, True), other.text
    assert trainer.client.post("/bases/tide/readapt", json={"version": 9}).status_code == 404

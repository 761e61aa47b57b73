"""Datasets over HTTP, and base models made of them."""

import io
import itertools
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.drawings import FIGURES, draw, png
from tests.e2e.service import Service
from tests.running import shotput
from tests.tones import tone, wav

LINES = "\n".join(json.dumps({"input": [i % 8, i / 80], "label": f"class {i % 8}"}) for i in range(160))
TRAINING = {"steps": 4, "ways": 2, "shots": 1, "queries": 2, "validate_every": 2, "validation_tasks": 2}


def archive(classes: int = 8) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for c in range(classes):
            for k in range(4):
                file.writestr(f"{FIGURES[c % 3]} {c}/{k}.png", png(draw(FIGURES[c % 3], k)))
    return buffer.getvalue()


def added(service: Service, content: bytes | Iterator[bytes], **options: str) -> dict[str, Any]:
    response = service.client.post("/datasets", content=content, params=options)
    assert response.status_code in (200, 201), response.text
    card: dict[str, Any] = response.json()
    return card


def trained(service: Service, **recipe: Any) -> dict[str, Any]:
    response = service.client.post("/meta-train", json={"training": TRAINING, **recipe})
    assert response.status_code == 202, response.text
    return finished(service, response.json()["id"])


def finished(service: Service, id: str) -> dict[str, Any]:
    job: dict[str, Any] = {"status": "queued"}
    while job["status"] in ("queued", "running"):
        job = service.client.get(f"/jobs/{id}", params={"wait": 30}).json()
    return job


def test_an_upload_is_streamed_described_listed_and_deleted(service: Service) -> None:
    content = archive()
    response = service.client.post(
        "/datasets", params={"name": "figures"}, content=(content[i : i + 1000] for i in range(0, len(content), 1000))
    )
    assert response.status_code == 201, response.text
    card = response.json()
    assert response.headers["Location"] == card["links"]["self"] == f"/datasets/{card['id']}"
    assert (card["name"], card["modality"], card["ways"], card["examples"]) == ("figures", "image", 8, 32)
    form = service.client.post("/datasets", files={"file": ("figures.zip", content)}, data={"name": "other"})
    assert (form.status_code, form.json()) == (200, card)
    assert service.client.get(f"/datasets/{card['id']}").json() == card
    assert card in service.client.get("/datasets").json()["data"]
    assert service.client.delete(f"/datasets/{card['id']}").status_code == 204
    assert service.client.get(f"/datasets/{card['id']}").status_code == 404
    assert service.client.delete(f"/datasets/{card['id']}").status_code == 404


def test_an_upload_may_be_larger_than_other_bodies(service: Service) -> None:
    rows = "a,b\n" + "".join(f"{'x' * 400},{i % 2}\n" for i in range(9000))
    assert len(rows) > int(service.settings["SHOTPUT_MAX_BODY_BYTES"])
    assert added(service, rows.encode())["examples"] == 9000


def test_a_key_makes_an_upload_repeatable(service: Service) -> None:
    headers = {"Idempotency-Key": "tuesday"}
    first, again, other = (
        service.client.post("/datasets", content=content, headers=headers)
        for content in (LINES, LINES, LINES + '\n{"input": [1, 1], "label": "class 1"}')
    )
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 422)
    assert again.json()["id"] == first.json()["id"]


def test_what_cannot_be_taken_is_named(service: Service) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in {"a/1.png": b"no", "b/2.png": b"none"}.items():
            file.writestr(name, content)
    response = service.client.post("/datasets", content=buffer.getvalue())
    assert response.status_code == 422
    problem = response.json()
    assert problem["code"] == "invalid_dataset"
    assert [error["place"] for error in problem["errors"]] == ["a/1.png", "b/2.png"]
    assert service.client.post("/datasets", content=b"").status_code == 422
    assert service.client.post("/datasets", content=LINES, params={"task": "guess"}).status_code == 422
    assert service.client.post("/datasets", data={"task": "guess"}, files={"file": b"x"}).status_code == 422
    assert service.client.post("/datasets", content=LINES, params={"format": "xls"}).status_code == 404


def test_a_base_model_is_made_of_an_upload_promoted_and_rolled_back(trainer: Service) -> None:
    card = added(trainer, archive(9))
    preprocessing = {"size": 16, "channels": 1}
    parts = {"name": "figures", "backbone_params": {"width": 8}, "summary": "Three figures."}
    first = trained(trainer, dataset={"id": card["id"], "preprocessing": preprocessing}, **parts)
    assert first["status"] == "ready", first
    assert first["base"] == "figures@1"
    second = trained(trainer, dataset=card["id"], dataset_params={"preprocessing": preprocessing}, **parts)
    assert second["base"] == "figures@2"
    base = trainer.client.get("/bases/figures").json()
    assert (base["reference"], base["default"], base["versions"]) == ("figures@2", 2, [1, 2])
    assert base["preprocessing"]["size"] == 16
    made = base["history"][0]
    assert (made["version"], made["default"], made["seed"], made["job"]) == (1, False, 0, first["id"])
    assert made["dataset_params"]["id"] == card["id"]
    assert made["seconds"] > 0
    assert made["device"].startswith("cpu")
    support = {"inputs": [[[0, 1], [1, 0]], [[1, 0], [0, 1]]] * 2, "labels": ["a", "b"] * 2}
    assert trainer.adapt({"base": "figures", "support": support}).json()["base"] == "figures@2"
    back = trainer.client.patch("/bases/figures", json={"default": 1})
    assert (back.status_code, back.json()["reference"]) == (200, "figures@1")
    assert trainer.adapt({"base": "figures", "support": support}).json()["base"] == "figures@1"
    assert trainer.client.patch("/bases/figures", json={"default": 3}).status_code == 404
    assert trainer.client.patch("/bases/figures", json={"default": None}).json()["default"] == 2


def test_series_are_uploaded_trained_on_graded_and_adapted_to(trainer: Service) -> None:
    steps, periods = np.arange(30), 1 + np.arange(90) % 9
    x = np.sin(steps / periods[:, None] + np.arange(90)[:, None])[:, None].repeat(2, 1)  # [N, channels, steps]
    x[::3, :, 20:] = np.nan  # shorter ones
    buffer = io.BytesIO()
    np.savez(buffer, x=x, y=periods)
    card = added(trainer, buffer.getvalue(), modality="series")
    assert (card["modality"], card["shape"], card["ways"]) == ("series", [2, 30], 9)
    job = trained(trainer, name="strides", dataset=card["id"], backbone_params={"width": 8})
    assert (job["status"], job.get("base")) == ("ready", "strides@1"), job
    assert trainer.client.get("/bases/strides").json()["backbone"] == "gru"
    graded = trainer.client.post(
        "/evaluate", json={"base": "strides", "dataset": card["id"], "ways": 2, "queries": 3, "tasks": 5}
    )
    assert finished(trainer, graded.json()["id"])["scores"]["tasks"] == 5, graded.text
    own = [[np.sin(steps[:length] / p).tolist()] * 2 for p in (1, 4) for length in (12, 30)]
    model = trainer.adapt({"base": "strides", "support": {"inputs": own, "labels": ["fast", "fast", "slow", "slow"]}})
    asked = {"model": model.json()["id"], "inputs": [[[0.1, None, 0.5]] * 2]}
    assert trainer.client.post("/predict", json=asked).json()["predictions"][0]["label"] in ("fast", "slow")
    assert trainer.client.post("/predict", json={**asked, "inputs": [[0.1, 0.5]]}).status_code == 422


def test_recordings_are_uploaded_trained_on_and_graded(trainer: Service) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for c, k in itertools.product(range(8), range(4)):
            kind = ("WAV", "FLAC")[k % 2]
            sound = wav(tone(200 * 1.3**c, 0.2 + 0.02 * k, 8000), 8000, kind)
            file.writestr(f"note {c}/{k}.{kind.lower()}", sound)
    card = added(trainer, buffer.getvalue())
    assert (card["modality"], card["examples"]) == ("audio", 32)
    dataset = {"id": card["id"], "preprocessing": {"seconds": 0.3, "rate": 8000, "mels": 16}}
    job = trained(trainer, name="notes", dataset=dataset, backbone_params={"width": 16})
    assert (job["status"], job.get("base")) == ("ready", "notes@1"), job
    assert trainer.client.get("/bases/notes").json()["backbone"] == "spectrogram-conv"
    graded = {"base": "notes", "dataset": card["id"], "ways": 2, "queries": 2, "tasks": 4}
    job = finished(trainer, trainer.client.post("/evaluate", json=graded).json()["id"])
    assert job["scores"]["accuracy"] >= 0, job
    other = trainer.client.post("/evaluate", json=graded | {"base": "omniglot"})
    assert (other.status_code, "reads image" in other.json()["detail"]) == (422, True), other.text


def test_a_recipe_for_a_dataset_that_is_not_there_is_refused(service: Service) -> None:
    recipe = {"name": "x", "dataset": "dst_" + "0" * 32}
    assert service.client.post("/meta-train", json=recipe).status_code == 404
    assert service.client.post("/meta-train", json={"name": "x", "dataset": "uploaded"}).status_code == 422


def test_the_command_line_adds_shows_and_deletes(service: Service, tmp_path: Path) -> None:
    (tmp_path / "v.jsonl").write_text(LINES.replace("class", "kind"))
    url = ["--url", str(service.client.base_url)]
    made = shotput("datasets", "add", tmp_path / "v.jsonl", "--name", "kinds", "--json", *url, home=tmp_path)
    id = json.loads(made.stdout)["id"]
    assert "kinds" in shotput("datasets", "list", *url, home=tmp_path).stdout
    assert f"{id} is deleted" in shotput("datasets", "delete", id, *url, home=tmp_path).stdout
    gone = shotput("datasets", "show", id, *url, home=tmp_path)
    assert (gone.returncode, id in gone.stderr) == (1, True)


def test_a_local_file_is_trained_on_and_evaluated(tmp_path: Path) -> None:
    (tmp_path / "v.jsonl").write_text(LINES)
    training = [word for name, value in TRAINING.items() for word in ("--training", f"{name}={value}")]
    parts = ["--dataset", tmp_path / "v.jsonl", "--backbone", "mlp", *training]
    made = shotput("meta-train", "kinds", *parts, home=tmp_path)
    assert made.stdout.startswith("kinds@1"), made.stderr
    graded = shotput("evaluate", "kinds", "--ways", "2", "--tasks", "3", "--queries", "4", "--json", home=tmp_path)
    assert json.loads(graded.stdout)["tasks"] == 3, graded.stderr

"""Unlabelled inputs over HTTP: what they are good for, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.drawings import FIGURES, draw, png, support_of
from tests.e2e.service import Service
from tests.running import shotput

WAYS, COLUMNS = 5, 16


def rows(points: np.ndarray) -> list[dict[str, float]]:
    return [{f"x{i}": float(value) for i, value in enumerate(point)} for point in points]


def blobs(seed: int) -> tuple[dict[str, Any], list[dict[str, float]], list[dict[str, float]], np.ndarray]:
    """Two labelled points of each of five blobs, many unlabelled ones, and queries with their truth."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(WAYS, COLUMNS))
    few, many, asked = (np.arange(WAYS).repeat(n) for n in (2, 40, 50))
    points = [centres[y] + rng.normal(size=(len(y), COLUMNS)) for y in (few, many, asked)]
    return {"inputs": rows(points[0]), "labels": few.tolist()}, rows(points[1]), rows(points[2]), asked


def labels(service: Service, queries: Any, **body: Any) -> np.ndarray:
    response = service.adapt({"base": "table", **body})
    assert response.status_code == 201, response.text
    assert response.json()["unlabelled"] == len(body["support"].get("unlabelled", []))
    answer = service.predict(response.json()["id"], queries).json()
    return np.array([prediction["label"] for prediction in answer["predictions"]])


def test_clusters_beat_protonet_with_them_and_equal_it_without(service: Service) -> None:
    gained = []
    for seed in range(5):
        support, unlabelled, queries, truth = blobs(seed)
        plain = labels(service, queries, support=support, learner="protonet")
        assert (plain == labels(service, queries, support=support, learner="clusters")).all()
        helped = labels(service, queries, support={**support, "unlabelled": unlabelled}, learner="clusters")
        gained.append((helped == truth).mean() - (plain == truth).mean())
    assert np.mean(gained) > 0.04


def test_files_without_a_label_have_a_form_field_of_their_own(service: Service) -> None:
    files = [(figure, ("a.png", png(draw(figure, 0)))) for figure in FIGURES]
    files += [("unlabelled", ("b.png", png(draw(figure, seed)))) for figure in FIGURES for seed in range(1, 3)]
    response = service.client.post("/adapt", data={"base": "omniglot", "learner": "clusters"}, files=files)
    assert response.status_code == 201, response.text
    assert (response.json()["shots"], response.json()["unlabelled"]) == (dict.fromkeys(FIGURES, 1), 6)


@pytest.mark.parametrize(
    ("learner", "unlabelled", "words", "pointer"),
    [
        ("ridge", [], "", ""),
        (
            "ridge",
            [support_of(1)["inputs"][0]],
            "learner ridge makes no use of unlabelled inputs; these do: clusters",
            "",
        ),
        ("clusters", [support_of(1)["inputs"][0], "?"], "unlabelled example 1: ", "/support/unlabelled/1"),
    ],
)
def test_they_are_checked_like_other_inputs(
    service: Service, learner: str, unlabelled: list[str], words: str, pointer: str
) -> None:
    support = {**support_of(2), "unlabelled": unlabelled}
    response = service.adapt({"base": "omniglot", "learner": learner, "support": support})
    assert response.status_code == (422 if words else 201), response.text
    assert words in response.json().get("detail", "")
    assert [error["pointer"] for error in response.json().get("errors", [])] == ([pointer] if pointer else [])


def test_the_command_line_takes_a_folder_of_them(service: Service, tmp_path: Path) -> None:
    for figure in FIGURES:
        (tmp_path / "known" / figure).mkdir(parents=True)
        draw(figure, 0).save(tmp_path / "known" / figure / "a.png")
    (tmp_path / "more").mkdir()
    draw("cross", 1).save(tmp_path / "more" / "b.png")
    url = f"http://127.0.0.1:{service.port}"
    command = ["adapt", tmp_path / "known", "--base", "omniglot", "--learner", "clusters", "--url", url, "--json"]
    made = shotput(*command, "--unlabelled", tmp_path / "more", home=tmp_path)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["unlabelled"] == 1
    (tmp_path / "more" / "c.png").write_text("no image")
    refused = shotput(*command, "--unlabelled", tmp_path / "more", home=tmp_path)
    assert "unlabelled example 1: " in refused.stderr
    assert "more/c.png" in refused.stderr

"""The main job over HTTP: adapt to real inputs, and ask."""

import base64
import io
import itertools
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris

from meta_core.learner import learners
from tests.drawings import FIGURES, base64_png, draw, png, support_of
from tests.e2e.service import Service

NEW = [(figure, seed) for figure in FIGURES for seed in range(100, 105)]


def adapted(service: Service, **body: Any) -> dict[str, Any]:
    response = service.adapt(body)
    assert response.status_code == 201, response.text
    model: dict[str, Any] = response.json()
    return model


def npy(array: np.ndarray) -> dict[str, str]:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return {"npy": base64.b64encode(buffer.getvalue()).decode()}


def test_drawings_are_told_apart_from_three_examples_each(service: Service) -> None:
    model = adapted(service, base="omniglot", support=support_of(3), name="figures", metadata={"customer": 7})
    assert model["status"] == "ready"
    assert model["base"].startswith("omniglot@")
    assert model["learner"] == model["scores"]["candidates"][0]["learner"]
    assert model["task"] == "classification"
    assert model["classes"] == sorted(FIGURES)
    assert model["shots"] == dict.fromkeys(FIGURES, 3)
    assert model["scores"]["loo_accuracy"] > 0.8
    assert (model["name"], model["metadata"]) == ("figures", {"customer": 7})
    answer = service.predict(model["id"], [base64_png(draw(figure, seed)) for figure, seed in NEW]).json()
    labels = [prediction["label"] for prediction in answer["predictions"]]
    assert np.mean([label == figure for label, (figure, _) in zip(labels, NEW, strict=True)]) > 0.9
    for prediction in answer["predictions"]:
        assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert prediction["probability"] == max(prediction["probabilities"].values())
    asked = {"model": model["id"], "inputs": [base64_png(draw(*NEW[0]))]}
    covered = service.client.post("/predict", json={**asked, "coverage": 0.8}).json()["predictions"]
    assert covered[0]["set"][0] == covered[0]["label"]
    refused = service.client.post("/predict", json={**asked, "coverage": 0.95})
    assert refused.status_code == 422
    assert "needs 19 support examples" in refused.json()["detail"]


def test_what_is_of_no_class_is_told_and_answers_are_explained(service: Service) -> None:
    known = FIGURES[:2]
    labels = [figure for figure in known for _ in range(10)]
    support = {"inputs": [base64_png(draw(figure, seed)) for seed, figure in enumerate(labels)], "labels": labels}
    model = adapted(service, base="omniglot", support=support)
    asked = {"model": model["id"], "inputs": [base64_png(draw(figure, 100)) for figure in FIGURES]}
    response = service.client.post("/predict", json={**asked, "reject": 0.05, "explain": True})
    assert response.status_code == 200, response.text
    *inside, outside = response.json()["predictions"]
    assert max(answer["unknown"] for answer in inside) < outside["unknown"]
    assert (outside["rejected"], outside["label"]) == (True, "unknown")
    for figure, answer in zip(known, inside, strict=True):
        nearest = answer["because"][0]
        assert nearest["label"] == figure
        assert labels[nearest["example"]] == figure
        assert 0 < sum(one["share"] for one in answer["because"]) <= 1 + 1e-6
    private = adapted(service, base="omniglot", support=support_of(2), keep_support=False)
    asked = {"model": private["id"], "inputs": support["inputs"][:1]}
    for more, reason in (({"explain": True}, "was not kept"), ({"reject": 0.05}, "needs 19 support examples")):
        refused = service.client.post("/predict", json={**asked, **more})
        assert refused.status_code == 422
        assert reason in refused.json()["detail"]


def test_light_ink_and_other_sizes_are_the_same_to_it(service: Service) -> None:
    model = adapted(service, base="omniglot", support=support_of(2))
    odd = [base64_png(draw(figure, 9, size=300, ink="white", paper="black")) for figure in FIGURES]
    answer = service.predict(model["id"], odd).json()
    assert [prediction["label"] for prediction in answer["predictions"]] == list(FIGURES)


ANYWHERE = [name for name in learners if not (learners[name].needs_meta_training or learners[name].adapts_body)]


@pytest.mark.parametrize("learner", [name for name in ANYWHERE if "classification" in learners[name].tasks])
def test_learners_that_need_no_meta_training_take_any_embeddings(service: Service, learner: str) -> None:
    model = adapted(service, base="omniglot", support=support_of(4), learner=learner)
    assert model["learner"] == learner
    answer = service.predict(model["id"], [base64_png(draw(figure, 50)) for figure in FIGURES]).json()
    right = [prediction["label"] == figure for prediction, figure in zip(answer["predictions"], FIGURES, strict=True)]
    assert sum(right) >= (1 if learner == "tree" else 3)  # one split of one number tells two classes apart


@pytest.mark.parametrize("learner", [name for name in ANYWHERE if "regression" in learners[name].tasks])
def test_those_that_do_regression_take_a_table(service: Service, learner: str) -> None:
    rows = [{"x": i / 10} for i in range(30)]
    model = adapted(
        service, base="table", support={"inputs": rows, "labels": [i / 5 for i in range(30)]}, learner=learner
    )
    (answer,) = service.predict(model["id"], [{"x": 1.52}]).json()["predictions"]
    assert answer["mean"] == pytest.approx(3.04, abs=0.3)


def test_parameters_reach_the_learner(service: Service) -> None:
    model = adapted(service, base="omniglot", support=support_of(3), learner="ridge", params={"penalty": 0.5})
    assert model["params"]["penalty"] == 0.5


def test_files_of_a_form_are_examples_named_by_their_label(service: Service) -> None:
    files = [(figure, (f"{seed}.png", png(draw(figure, seed)))) for figure in FIGURES for seed in range(2)]
    response = service.client.post("/adapt", data={"base": "omniglot", "metadata": '{"a": 1}'}, files=files)
    assert response.status_code == 201, response.text
    model = response.json()
    assert model["shots"] == dict.fromkeys(FIGURES, 2)
    form = {"data": {"model": model["id"]}, "files": [("file", ("x.png", png(draw("cross", 77))))]}
    answer = service.client.post("/predict", **form).json()  # type: ignore[arg-type]
    assert answer["predictions"][0]["label"] == "cross"


def test_base64_may_have_line_breaks(service: Service) -> None:
    support = support_of(1)
    wrapped = [base64.encodebytes(base64.b64decode(text)).decode() for text in support["inputs"]]
    assert adapted(service, base="omniglot", support={**support, "inputs": wrapped})["status"] == "ready"


def test_arrays_are_read_as_lists_are(service: Service) -> None:
    pixels = np.stack([np.asarray(draw(figure, seed).convert("L")) for figure in FIGURES for seed in range(2)])
    labels = [figure for figure in FIGURES for _ in range(2)]
    support = {"inputs": npy(pixels), "labels": labels}
    by_array = adapted(service, base="omniglot", support=support)
    by_list = adapted(service, base="omniglot", support={**support, "inputs": pixels.tolist()})
    query = pixels[:1]
    answers = [service.predict(model["id"], npy(query)).json()["predictions"] for model in (by_array, by_list)]
    assert answers[0][0]["probabilities"] == pytest.approx(answers[1][0]["probabilities"])


@pytest.mark.parametrize("labels", [["a", "b"], [7, 11], [False, True]])
def test_answers_carry_labels_as_they_were_sent(service: Service, labels: list[Any]) -> None:
    support = {
        "inputs": [{"x": 0.0}, {"x": 0.1}, {"x": 1.0}, {"x": 1.1}],
        "labels": [x for x in labels for _ in range(2)],
    }
    model = adapted(service, base="table", support=support)
    answer = service.predict(model["id"], [{"x": 0.05}, {"x": 1.05}]).json()
    assert [prediction["label"] for prediction in answer["predictions"]] == labels


def test_five_rows_a_class_of_iris_are_enough_for_most(service: Service) -> None:
    table = load_iris()
    y = table.target
    rows = [dict(zip(table.feature_names, row, strict=True)) for row in table.data.tolist()]
    chosen = np.concatenate(
        [np.random.default_rng(0).choice(np.nonzero(y == c)[0], 5, replace=False) for c in range(3)]
    )
    support = {"inputs": [rows[i] for i in chosen], "labels": y[chosen].tolist()}
    model = adapted(service, base="table", support=support)
    predictions = service.predict(model["id"], rows).json()["predictions"]
    assert np.mean([p["label"] == label for p, label in zip(predictions, y, strict=True)]) > 0.85


def test_regression_answers_with_mean_deviation_and_interval(service: Service) -> None:
    x, y = load_diabetes(return_X_y=True)
    rows = [{f"column {i}": value for i, value in enumerate(row)} for row in x.tolist()]
    model = adapted(service, base="table", support={"inputs": rows[:100], "labels": y[:100].tolist()})
    assert model["task"] == "regression"
    assert model["scores"]["loo_r2"] > 0.3
    predictions = service.predict(model["id"], rows[100:300]).json()["predictions"]
    covered = [
        p["interval"][0] <= target <= p["interval"][1] for p, target in zip(predictions, y[100:300], strict=True)
    ]
    assert 0.8 < np.mean(covered) < 0.98
    widths = [(p["interval"][1] - p["mean"]) / p["std"] for p in predictions]
    assert widths == pytest.approx([widths[0]] * len(widths), rel=1e-3)  # in standard deviations, one for all
    assert 1 < widths[0] < 3


def test_a_sine_is_known_from_ten_points(service: Service) -> None:
    points = np.random.default_rng(3).uniform(-5, 5, 10)
    support = {"inputs": points[:, None].tolist(), "labels": (3 * np.sin(points - 1)).tolist()}
    model = adapted(service, base="sinusoid", support=support)
    grid = np.linspace(-4, 4, 9)
    predictions = service.predict(model["id"], grid[:, None].tolist()).json()["predictions"]
    errors = [p["mean"] - 3 * np.sin(x - 1) for p, x in zip(predictions, grid, strict=True)]
    assert np.mean(np.square(errors)) < 0.5


def test_numbers_from_which_nothing_can_be_learned_fail_at_once_and_say_so(service: Service) -> None:
    support = {"inputs": [{"a": 0}, {"a": 1}, {"a": 2}], "labels": [1e-30, 2e-30, 4e-30]}
    response = service.adapt({"base": "table", "learner": "ridge", "support": support})
    assert response.status_code == 422
    assert "too small" in response.json()["detail"]


def test_no_wait_answers_at_once_and_the_location_leads_to_the_model(service: Service) -> None:
    service.workers[0].send_signal(signal.SIGSTOP)
    response = service.adapt({"base": "omniglot", "support": support_of(2)}, prefer="wait=0")
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "wait=0"
    assert response.json()["status"] == "queued"
    service.workers[0].send_signal(signal.SIGCONT)
    job = service.client.get(response.headers["Location"], params={"wait": 20}).json()
    assert job["status"] == "ready"
    assert service.client.get(job["links"]["model"]).json()["status"] == "ready"


def test_models_are_listed_newest_first_page_by_page(service: Service) -> None:
    made = [
        adapted(service, base="table", support={"inputs": [{"a": 0}, {"a": 1}], "labels": ["x", "y"]}) for _ in range(3)
    ]
    newest = [model["id"] for model in reversed(made)]
    first = service.client.get("/models", params={"limit": 2}).json()
    assert [model["id"] for model in first["data"]] == newest[:2]
    assert first["has_more"]
    second = service.client.get("/models", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert second["data"][0]["id"] == newest[2]


def test_a_deleted_model_is_gone_and_with_it_its_examples(service: Service) -> None:
    model = adapted(service, base="table", support={"inputs": [{"a": 0}, {"a": 1}], "labels": ["x", "y"]})
    assert service.predict(model["id"], [{"a": 1}]).status_code == 200
    assert service.client.delete(f"/models/{model['id']}").status_code == 204
    assert service.client.get(f"/models/{model['id']}").status_code == 410
    assert service.predict(model["id"], [{"a": 1}]).status_code == 410
    assert service.client.delete(f"/models/{model['id']}").status_code == 410
    assert not any(model["id"] in key for key in service.store.keys("default/supports"))
    assert model["id"] not in [one["id"] for one in service.client.get("/models").json()["data"]]


def test_many_clients_at_once_each_get_their_own_answer(service: Service) -> None:
    def ask(i: int) -> bool:
        low, high = f"low {i}", f"high {i}"
        support = {"inputs": [{"a": 0}, {"a": 1}, {"a": 10}, {"a": 11}], "labels": [low, low, high, high]}
        model = adapted(service, base="table", support=support)
        predictions = service.predict(model["id"], [{"a": 0.5}, {"a": 10.5}]).json()["predictions"]
        return [prediction["label"] for prediction in predictions] == [low, high]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(32)))


def test_what_there_is_can_be_listed(service: Service) -> None:
    bases = {base["name"]: base for base in service.client.get("/bases").json()}
    assert {"omniglot", "table", "sinusoid"} <= bases.keys()
    assert bases["omniglot"]["preprocessing"]["framing"] == "drawing"
    assert service.client.get("/bases/omniglot@1").json()["reference"] == "omniglot@1"
    learners = {learner["name"]: learner for learner in service.client.get("/learners").json()}
    assert {"protonet", "ridge", "logistic", "maml", "anil", "cnp"} <= learners.keys()
    for learner in learners.values():
        assert learner["parameters"]["type"] == "object"
    assert service.client.get("/readyz").json()["status"] == "ok"


def test_a_base_model_is_meta_trained_watched_and_used(service: Service) -> None:
    service.ready_worker("meta-train")
    training = {"steps": 200, "tasks": 4, "shots": 8, "queries": 8, "validate_every": 100, "validation_tasks": 20}
    recipe = {"name": "waves", "dataset": "sinusoids", "learner": "cnp", "backbone": "identity", "training": training}
    response = service.client.post("/meta-train", json=recipe)
    assert response.status_code == 202, response.text
    job = service.client.get(response.headers["Location"], params={"wait": 60}).json()
    assert (job["status"], job["base"]) == ("ready", "waves@1")
    base = service.client.get("/bases/waves").json()
    assert base["provenance"]["recipe"]["dataset"] == "sinusoids"
    points = np.linspace(-4, 4, 8)
    model = adapted(
        service, base="waves", support={"inputs": points[:, None].tolist(), "labels": np.sin(points).tolist()}
    )
    assert model["base"] == "waves@1"


def test_a_running_meta_training_is_cancelled(service: Service) -> None:
    service.ready_worker("meta-train")
    recipe = {"name": "never", "dataset": "sinusoids", "learner": "cnp", "backbone": "identity"}
    job = service.client.post("/meta-train", json={**recipe, "training": {"steps": 10_000_000}}).json()
    for _ in itertools.takewhile(lambda state: state["status"] == "queued", _states(service, job["id"])):
        pass
    assert service.client.delete(f"/jobs/{job['id']}").json()["status"] == "cancelled"
    assert service.client.get(f"/jobs/{job['id']}").json()["status"] == "cancelled"
    assert service.client.get("/bases/never").status_code == 404


def _states(service: Service, id: str) -> Any:
    while True:
        yield service.client.get(f"/jobs/{id}", params={"wait": 0.2}).json()

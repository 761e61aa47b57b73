"""Bad input is a problem that names what and where; nothing is queued and nothing half-written."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.drawings import base64_png, draw, support_of
from tests.e2e.service import Service
from tests.modalities.test_image import bomb
from tests.worker.site import until

ROWS: dict[str, list[Any]] = {"inputs": [{"a": 0}, {"a": 1}], "labels": ["x", "y"]}
IMAGES = support_of(2)
NOBODYS = "{}_01a1fe4414cf7acab390123a1a3d318d"
"""A well-formed id; always the same, for every process of the tests to find the same tests."""


def with_image(value: Any) -> dict[str, Any]:
    return {"inputs": [*IMAGES["inputs"][:3], value, *IMAGES["inputs"][4:]], "labels": IMAGES["labels"]}


def table(inputs: list[Any], labels: list[Any]) -> dict[str, Any]:
    return {"base": "table", "support": {"inputs": inputs, "labels": labels}}


BODIES: dict[str, tuple[Any, int, str, str]] = {
    "unknown base": ({"base": "nothing", "support": ROWS}, 404, "omniglot", ""),
    "unknown version": ({"base": "omniglot@999", "support": IMAGES}, 404, "omniglot@1", ""),
    "a path as base": ({"base": "../../etc/passwd", "support": ROWS}, 404, "no base model", ""),
    "unknown learner": ({"base": "table", "support": ROWS, "learner": "magic"}, 404, "logistic", ""),
    "learner that must be trained": (
        {"base": "omniglot", "support": IMAGES, "learner": "maml"},
        422,
        "meta-trained",
        "",
    ),
    "unknown parameter": (
        {"base": "table", "support": ROWS, "learner": "ridge", "params": {"x": 1}},
        422,
        "penalty",
        "",
    ),
    "impossible parameter": (
        {"base": "table", "support": ROWS, "learner": "ridge", "params": {"penalty": -1}},
        422,
        "penalty",
        "",
    ),
    "labels are fewer": (table([{"a": 0}, {"a": 1}], ["x"]), 422, "2 inputs but 1 labels", ""),
    "one class": (table([{"a": 0}, {"a": 1}], ["x", "x"]), 422, "at least two classes", ""),
    "empty": (table([], []), 422, "empty", ""),
    "no support": ({"base": "table"}, 422, "/support", "/support"),
    "unknown field": ({"base": "table", "support": ROWS, "colour": 1}, 422, "there are: base, support", "/colour"),
    "not an object": ([1, 2], 422, "object", ""),
    "corrupt image": ({"base": "omniglot", "support": with_image("AAAA")}, 422, "example 3", "/support/inputs/3"),
    "no base64": ({"base": "omniglot", "support": with_image("!")}, 422, "base64", "/support/inputs/3"),
    "a bomb": (
        {"base": "omniglot", "support": with_image(base64.b64encode(bomb(5000, 5000)).decode())},
        422,
        "max_pixels",
        "/support/inputs/3",
    ),
    "wrong kind": ({"base": "omniglot", "support": with_image({"a": 1})}, 422, "an object", "/support/inputs/3"),
    "ragged image": (
        {"base": "omniglot", "support": with_image([[1, 2], [3]])},
        422,
        "rectangular",
        "/support/inputs/3",
    ),
    "other columns": (table([{"a": 0}, {"b": 1}], ["x", "y"]), 422, "lacks column 'a'", "/support/inputs/1"),
    "label of another kind": (table([{"a": 0}, {"a": 1}], ["x", 1]), 422, "str and int", "/support/labels/1"),
    "regression on drawings": (
        {"base": "omniglot", "support": {**IMAGES, "labels": [0.5] * 6}},
        422,
        "classification",
        "",
    ),
    "too many ways": (table([{"a": i} for i in range(21)], list(range(21))), 422, "max_ways", ""),
    "long vector": (
        {"base": "sinusoid", "support": {"inputs": [[0.0, 1.0], [1.0, 2.0]], "labels": [0.5, 1.5]}},
        422,
        "shape",
        "",
    ),
    "labels of more than 64 bits": (table([{"a": 0}, {"a": 1}], [1, 10**30]), 422, "64 bits", "/support/labels/1"),
    "long metadata": ({"base": "table", "support": ROWS, "metadata": {"a": "x" * 20_000}}, 422, "16,000", "/metadata"),
    "a long cell": (table([{"a": "x"}, {"a": "y" * 5001}], ["x", "y"]), 422, "5000", "/support/inputs/1"),
    "too many features": (
        table([{f"column {i}": f"{i} {row}" for i in range(30)} for row in range(80)], ["x", "y"] * 40),
        422,
        "max_features",
        "",
    ),
    "npy that is none": ({"base": "omniglot", "support": {"inputs": {"npy": "AAAA"}, "labels": ["a"]}}, 422, "npy", ""),
}


@pytest.fixture(autouse=True)
def nothing_changes(service: Service) -> Iterator[None]:
    until(lambda: not list(service.store.keys("default/orders")))  # an answered order is struck off just after
    before = sorted(service.store.keys("default"))
    yield
    assert sorted(service.store.keys("default")) == before
    assert service.queue("adapt").count == 0
    assert service.client.get("/healthz").status_code == 200


def check(response: Any, status: int, words: str, pointer: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert words in problem["detail"]
    if pointer:
        assert pointer in [error["pointer"] for error in problem["errors"]]


@pytest.mark.parametrize("case", BODIES)
def test_a_bad_support_set_is_refused_and_says_why(service: Service, case: str) -> None:
    body, status, words, pointer = BODIES[case]
    check(service.client.post("/adapt", json=body), status, words, pointer)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(service: Service, number: str) -> None:
    body = json.dumps(table([{"a": 0}, {"a": "?"}], ["x", "y"])).replace('"?"', number)
    response = service.client.post("/adapt", content=body, headers={"content-type": "application/json"})
    check(response, 422, "finite", "/support/inputs/1")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_metadata_that_cannot_be_kept_is_refused(service: Service, number: str) -> None:
    body = json.dumps({**table([{"a": 0}, {"a": 1}], ["x", "y"]), "metadata": {"a": "?"}}).replace('"?"', number)
    response = service.client.post("/adapt", content=body, headers={"content-type": "application/json"})
    check(response, 422, "JSON", "/metadata")


@pytest.mark.parametrize("metadata", ["[" * 100_000, "{", "NaN"])
def test_a_form_field_that_is_no_json_is_refused(service: Service, metadata: str) -> None:
    files = [(label, (f"{label}.png", b"")) for label in "ab"]
    response = service.client.post("/adapt", data={"base": "omniglot", "metadata": metadata}, files=files)
    check(response, 422, "metadata", "")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 5000, b'{"base": "\\ud800"}'])
def test_what_is_no_json_is_refused(service: Service, content: bytes) -> None:
    response = service.client.post("/adapt", content=content, headers={"content-type": "application/json"})
    check(response, 422, "", "")


@pytest.mark.parametrize(
    "content", [b"x" * 3_000_001, (b"x" * 100_000 for _ in range(31))], ids=["declared", "streamed"]
)
def test_a_body_that_is_too_large_is_refused(service: Service, content: Any) -> None:
    response = service.client.post("/adapt", content=content, headers={"content-type": "application/json"})
    check(response, 413, "SHOTPUT_MAX_BODY_BYTES", "")


def test_another_content_type_is_refused(service: Service) -> None:
    check(service.client.post("/adapt", content=b"a=1", headers={"content-type": "text/csv"}), 415, "text/csv", "")


@pytest.mark.parametrize(
    "id", ["x", "mdl_1", "mdl_" + "0" * 33, "..%2f..%2fetc", "job_" + "0" * 32, NOBODYS.format("mdl")]
)
@pytest.mark.parametrize("path", ["/models/{}", "/jobs/{}"])
def test_an_id_that_is_none_is_not_found(service: Service, path: str, id: str) -> None:
    for method in ("GET", "DELETE"):
        check(service.client.request(method, path.format(id)), 404, "", "")


@pytest.mark.parametrize("model", ["x", "../x", "mdl_" + "z" * 32, NOBODYS.format("mdl"), NOBODYS.format("job")])
def test_asking_a_model_that_is_none_is_not_found(service: Service, model: str) -> None:
    check(service.predict(model, [1]), 404, "", "")


def test_unknown_paths_and_methods_are_problems_too(service: Service) -> None:
    check(service.client.get("/nothing"), 404, "/docs", "")
    check(service.client.put("/adapt"), 405, "PUT", "")
    refused = service.client.put("/bases/omniglot")
    check(refused, 405, "PUT", "")
    assert refused.headers["Allow"] == "GET, PATCH"


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"dataset": "nothing"}, 404, "sinusoids"),
        ({"learner": "nothing"}, 404, "protonet"),
        ({"backbone": "nothing"}, 404, "conv4"),
        ({"params": {"nothing": 1}}, 422, "nothing"),
        ({"backbone": "conv4"}, 422, "images"),
        ({"learner": "protonet"}, 422, "not regression"),
        ({"name": "../x"}, 422, "/name"),
        ({"training": {"steps": 0}}, 422, "steps"),
        ({"training": {"seed": True}}, 422, "a number"),
        ({"training": {"episodes": 9}}, 422, "there are: optimizer, rate"),
        ({"training": 9}, 422, "should be an object"),
        ({"frozen": 0}, 422, "true or false"),
        ({"dataset": "images", "dataset_params": {"path": "../../etc"}}, 422, "path"),
    ],
)
def test_a_bad_recipe_is_refused(service: Service, change: dict[str, Any], status: int, words: str) -> None:
    recipe = {"name": "x", "dataset": "sinusoids", "learner": "cnp", "backbone": "identity", **change}
    check(service.client.post("/meta-train", json=recipe), status, words, "")


@pytest.fixture(scope="module")
def model(service: Service) -> str:
    return str(service.adapt({"base": "omniglot", "support": IMAGES}).json()["id"])


@pytest.mark.parametrize("inputs", [[], ["!"], [{}], [None], {"npy": "!"}, "x"], ids=str)
def test_bad_queries_of_a_good_model_are_refused(service: Service, model: str, inputs: Any) -> None:
    check(service.predict(model, inputs), 422, "", "")


def test_the_bad_query_among_good_ones_is_named(service: Service, model: str) -> None:
    good = base64_png(draw("cross", 1))
    check(service.predict(model, [good, good, "AAAA"]), 422, "example 2", "/inputs/2")

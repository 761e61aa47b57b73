"""Two tenants on one service: neither finds anything of the other, by any route."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from app import keys, quotas
from app.access import OPEN
from meta_core.base import unpack_base
from meta_core.catalogue import SHIPPED, Catalogue
from meta_core.ids import base_key
from meta_core.usage import measured
from tests.drawings import base64_png, draw, support_of
from tests.e2e.service import Service

BODY = {"base": "omniglot", "support": support_of(2)}
SENTINEL = "sentinel-of-the-owner"
RECIPE = {"name": "secret", "dataset": "sinusoids", "learner": "cnp", "backbone": "identity"}


@pytest.fixture(scope="module")
def keyed(guarded_service: Service) -> Iterator[tuple[Service, httpx.Client, httpx.Client]]:
    """A service with an owner and a stranger, both with every scope."""
    service = guarded_service
    clients = []
    for tenant in ("owner", "stranger"):
        _, text = keys.create(service.store, tenant, ["admin"], None, None)
        headers = {"Authorization": f"Bearer {text}"}
        clients.append(httpx.Client(base_url=service.client.base_url, headers=headers, timeout=60, trust_env=False))
    yield service, clients[0], clients[1]
    for client in clients:
        client.close()


@pytest.fixture(scope="module")
def owned(keyed: tuple[Service, httpx.Client, httpx.Client]) -> dict[str, str]:
    """The owner's model, job and base model."""
    service, owner, _ = keyed
    made = owner.post("/adapt", json={**BODY, "name": SENTINEL, "metadata": {"note": SENTINEL}})
    assert made.status_code == 201, made.text
    job = owner.post("/meta-train", json=RECIPE).json()["id"]
    owner.delete(f"/jobs/{job}")
    shipped = unpack_base((SHIPPED / "omniglot.safetensors").read_bytes())
    Catalogue(service.store).publish(shipped, job, "owner")
    assert service.store.exists(base_key("omniglot", shipped.version + 1, "owner"))
    csv = "a,kind\n" + "\n".join(f"{i},{'uv'[i % 2]}" for i in range(8))
    dataset = owner.post("/datasets", content=csv, params={"name": SENTINEL})
    assert dataset.status_code == 201, dataset.text
    named = owner.put("/aliases/secret-alias", json={"model": made.json()["id"]})
    assert named.status_code == 200, named.text
    return {
        "model": made.json()["id"],
        "job": job,
        "base": f"omniglot@{shipped.version + 1}",
        "dataset": dataset.json()["id"],
        "alias": "secret-alias",
    }


def operations(client: httpx.Client) -> list[tuple[str, str]]:
    paths = client.get("/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods if path not in OPEN]


def test_every_route_with_an_id_knows_nothing_of_another_tenants(
    keyed: tuple[Service, httpx.Client, httpx.Client], owned: dict[str, str]
) -> None:
    service, owner, stranger = keyed
    before = {key: service.store.get(key) for key in service.store.keys("owner")}
    crossed = 0
    for method, path in operations(owner):
        if "{" not in path or path.startswith("/learners"):
            continue
        for id in owned.values():
            address = path[: path.index("{")] + id + path[path.index("}") + 1 :]
            body = {"json": {"default": None}} if method == "PATCH" else {}
            if method == "PUT":  # makes an alias of the caller's own, of a model that must not be found
                body = {"json": {"model": owned["model"]}}
            answer = stranger.request(method, address, **body)
            assert answer.status_code in (404, 422), f"{method} {address}: {answer.status_code} {answer.text}"
            assert SENTINEL not in answer.text
            crossed += 1
    assert crossed >= 15
    assert {key: service.store.get(key) for key in service.store.keys("owner")} == before
    assert owner.get(f"/models/{owned['model']}").json()["name"] == SENTINEL
    assert owner.get(f"/bases/{owned['base']}").status_code == 200


def test_no_list_shows_anything_of_another_tenants(
    keyed: tuple[Service, httpx.Client, httpx.Client], owned: dict[str, str]
) -> None:
    _, owner, stranger = keyed
    for method, path in operations(owner):
        if method == "GET" and "{" not in path:
            shown = stranger.get(path).text
            assert all(id not in shown for id in owned.values()), path
            assert SENTINEL not in shown, path


def test_bodies_that_name_another_tenants_things_do_not_find_them(
    keyed: tuple[Service, httpx.Client, httpx.Client], owned: dict[str, str]
) -> None:
    _, owner, stranger = keyed
    question = {"model": owned["model"], "inputs": [base64_png(draw("cross", 1))]}
    assert owner.post("/predict", json=question).status_code == 200
    assert stranger.post("/predict", json=question).status_code == 404
    assert stranger.post("/predict", json={**question, "model": owned["alias"]}).status_code == 404
    asked = {"base": "table", "dataset": {"id": owned["dataset"]}, "ways": 2, "tasks": 2}
    assert stranger.post("/evaluate", json=asked).status_code == 404
    assert stranger.post("/meta-train", json={**RECIPE, "dataset": asked["dataset"]}).status_code == 404
    assert owner.post("/adapt", json={**BODY, "base": owned["base"]}).status_code == 201
    refused = stranger.post("/adapt", json={**BODY, "base": owned["base"]})
    assert refused.status_code == 404
    assert owned["base"] not in refused.json()["detail"].partition("there are:")[2]


def test_no_route_answers_without_a_key(keyed: tuple[Service, httpx.Client, httpx.Client]) -> None:
    service, owner, _ = keyed
    for method, path in operations(owner):
        for header in (
            {},
            {"Authorization": "Bearer sk_x"},
            {"Authorization": "Basic YTpi"},
            {"Authorization": "x" * 9000},
        ):
            answer = service.client.request(method, path, headers=header)
            assert answer.status_code == 401, f"{method} {path}"


@pytest.mark.parametrize(
    "id", ["..%2f..%2fowner", "%2e%2e", "mdl_%0d%0aX-Evil:%201", "a%00b", "%0aINFO forged", "é" * 40]
)
def test_an_id_can_be_no_path_header_or_line_of_a_log(
    keyed: tuple[Service, httpx.Client, httpx.Client], id: str
) -> None:
    service, owner, _ = keyed
    for path in ("/models/", "/jobs/", "/bases/"):
        answer = owner.get(path + id)
        assert answer.status_code in (404, 422), answer.text
        assert "x-evil" not in answer.headers
    assert not any(line.startswith("INFO forged") for line in (service.folder / "api.log").read_text().splitlines())


def test_interleaved_tenants_get_the_answers_they_get_alone(
    keyed: tuple[Service, httpx.Client, httpx.Client],
) -> None:
    _, owner, stranger = keyed
    asked: list[tuple[httpx.Client, dict[str, Any]]] = []
    for client, names in ((owner, ("circle", "cross")), (stranger, ("cross", "stairs"))):
        support = {
            "inputs": [base64_png(draw(name, seed)) for name in names for seed in range(3)],
            "labels": [0, 0, 0, 1, 1, 1],
        }
        for _ in range(2):
            model = client.post("/adapt", json={"base": "omniglot", "support": support}).json()["id"]
            inputs = [base64_png(draw(name, 9)) for name in names]
            asked.append((client, {"model": model, "inputs": inputs, "explain": True}))
    alone = [client.post("/predict", json=question).json() for client, question in asked]
    with ThreadPoolExecutor(8) as pool:
        waiting = [(i, pool.submit(c.post, "/predict", json=q)) for _ in range(15) for i, (c, q) in enumerate(asked)]
        for i, answer in waiting:
            assert answer.result().json() == alone[i]


def test_a_tenant_has_as_much_as_its_quota_until_it_deletes(
    keyed: tuple[Service, httpx.Client, httpx.Client],
) -> None:
    service, _, stranger = keyed
    _, text = keys.create(service.store, "bounded", ["admin"], None, None)
    shipped = unpack_base((SHIPPED / "omniglot.safetensors").read_bytes())
    Catalogue(service.store).publish(shipped, "job_" + "0" * 32, "bounded")
    body = {**BODY, "base": f"omniglot@{shipped.version}"}
    more = {"inputs": [base64_png(draw("cross", 7))], "labels": ["cross"]}
    csv = "a,kind\n" + "\n".join(f"{i},{'uv'[i % 2]}" for i in range(8))

    def full(answer: httpx.Response, what: str) -> bool:
        problem = answer.json()
        assert (answer.status_code, problem.get("code")) == (403, "quota_exceeded"), answer.text
        return what in problem["detail"] and "DELETE" in problem["detail"]

    with httpx.Client(
        base_url=service.client.base_url, headers={"Authorization": f"Bearer {text}"}, timeout=60, trust_env=False
    ) as bounded:
        quotas.override(service.store, "bounded", {"models": 2})
        first = bounded.post("/adapt", json=body).json()["id"]
        second = bounded.post(f"/models/{first}/examples", json=more)
        assert second.status_code == 201, second.text
        before = set(service.store.keys("bounded"))
        newer = f"omniglot@{shipped.version + 1}"
        assert full(bounded.post("/adapt", json=body), "the quota is 2 models; 2 are used, and this needs 1 more")
        assert full(bounded.post(f"/models/{first}/examples", json=more), "2 models")
        assert full(bounded.delete(f"/models/{first}/examples/0"), "2 models")
        assert full(bounded.post(f"/models/{first}/readapt", json={"base": newer}), "2 models")
        assert full(bounded.post("/bases/omniglot/readapt", json={"version": shipped.version + 1}), "2 models")
        assert set(service.store.keys("bounded")) == before
        assert stranger.post("/adapt", json=BODY).status_code == 201
        assert bounded.delete(f"/models/{second.json()['id']}").status_code == 204
        moved = bounded.post(f"/models/{first}/readapt", json={"base": newer})
        assert moved.status_code == 201, moved.text
        assert full(bounded.post("/adapt", json=body), "2 models")

        assert bounded.post("/datasets", content=csv).status_code == 201
        bounded.delete(f"/models/{moved.json()['id']}")
        quotas.override(service.store, "bounded", {"bytes": measured(service.store, "bounded").bytes})
        assert bounded.post("/datasets", content=csv).status_code == 200, "it was there already"
        assert full(bounded.post("/datasets", content=csv + "\n8,u"), "bytes")
        quotas.override(service.store, "bounded", {"bytes": 0, "models": 0, "adapts_per_minute": 1000})
        assert bounded.post("/datasets", content=csv + "\n8,u").status_code == 201
        told = bounded.post("/adapt", json=body)
        assert (told.status_code, told.headers["RateLimit-Policy"]) == (201, '"adapts";q=1000;w=60')

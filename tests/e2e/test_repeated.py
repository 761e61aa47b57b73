"""A request that is repeated makes one order; what is deleted is nowhere any more."""

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from meta_core.ids import support_key
from tests.drawings import support_of
from tests.e2e.proxy import dropping
from tests.e2e.service import Service
from tests.worker.site import until

MARKER = "marker-of-the-support-0193"
ROWS: dict[str, Any] = {
    "inputs": [{"word": MARKER + letter, "length": i} for i, letter in enumerate("abcd")],
    "labels": ["x", "x", "y", "y"],
}


def headers(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def test_a_hundred_requests_at_once_with_one_key_make_one_order(service: Service) -> None:
    body = {"base": "omniglot", "support": support_of(2)}
    before = set(service.store.keys("default/models"))
    with ThreadPoolExecutor(20) as pool:
        sent = [pool.submit(service.client.post, "/adapt", json=body, headers=headers("once")) for _ in range(100)]
        answers = [answer.result() for answer in sent]
    assert {answer.status_code for answer in answers} <= {201, 202}
    (id,) = {answer.json()["id"] for answer in answers}
    until(lambda: service.client.get(f"/models/{id}").json()["status"] == "ready")
    assert len(set(service.store.keys("default/models")) - before) == 1
    until(lambda: not list(service.store.keys("default/orders")))


def test_replies_that_are_lost_on_the_way_make_no_second_order(service: Service) -> None:
    body = {"base": "omniglot", "support": support_of(2)}
    before = set(service.store.keys("default/models"))
    with dropping(service.port, replies=3) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        for _ in range(3):
            with pytest.raises(httpx.TransportError):
                client.post("/adapt", json=body, headers=headers("lost"))
        answer = client.post("/adapt", json=body, headers=headers("lost"))
    assert answer.status_code == 201, answer.text
    assert len(set(service.store.keys("default/models")) - before) == 1


def test_a_key_is_good_for_one_body(service: Service) -> None:
    body = {"base": "omniglot", "support": support_of(2)}
    first = service.client.post("/adapt", json=body, headers=headers("a key"))
    other = service.client.post("/adapt", json={**body, "name": "another"}, headers=headers("a key"))
    assert (other.status_code, other.json()["code"]) == (422, "invalid_request")
    assert "used before" in other.json()["detail"]
    bad = service.client.post("/adapt", json={**body, "base": "nothing"}, headers=headers("bad"))
    good = service.client.post("/adapt", json=body, headers=headers("bad"))
    assert (bad.status_code, good.status_code) == (404, 201), "a refused request does not use up its key"
    assert good.json()["id"] != first.json()["id"]


def test_a_repeated_meta_training_is_one_job(service: Service) -> None:
    recipe = {"name": "twice", "dataset": "sinusoids", "learner": "cnp", "backbone": "identity"}
    jobs = [service.client.post("/meta-train", json=recipe, headers=headers("train")).json()["id"] for _ in range(3)]
    assert len(set(jobs)) == 1
    service.client.delete(f"/jobs/{jobs[0]}")


def test_a_support_set_that_shall_not_be_kept_is_not(service: Service) -> None:
    made = service.adapt({"base": "table", "support": ROWS, "keep_support": False}).json()
    assert made["keep_support"] is False
    until(lambda: not service.store.exists(support_key("default", made["id"])))
    assert service.predict(made["id"], ROWS["inputs"][:1]).status_code == 200
    service.client.delete(f"/models/{made['id']}")


def test_nothing_of_a_deleted_model_is_left_in_store_or_redis(service: Service) -> None:
    body = {"base": "table", "support": ROWS, "name": MARKER, "metadata": {"note": MARKER}}
    made = service.client.post("/adapt", json=body, headers=headers(MARKER)).json()
    assert service.predict(made["id"], ROWS["inputs"][:1]).status_code == 200
    assert found(service), "the search finds it while it is there"
    for _ in range(2):
        assert service.client.delete(f"/models/{made['id']}").status_code in (204, 410)
    assert service.predict(made["id"], ROWS["inputs"][:1]).status_code == 410
    assert found(service) == []


def found(service: Service) -> list[str]:
    """Files of the store and keys of Redis that hold the marker, in whatever way it could be written."""
    wanted = [MARKER.encode(), base64.b64encode(MARKER.encode())[:-4], MARKER.encode().hex().encode()]
    files = [path for path in Path(service.store.url).rglob("*") if path.is_file()]
    places = [(str(path), path.read_bytes()) for path in files]
    places += [(str(key), service.redis.dump(key) or b"") for key in service.redis.scan_iter()]
    return [name for name, content in places if any(text in content for text in wanted)]

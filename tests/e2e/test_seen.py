"""What an operator sees: metrics, and a request's id from the caller to the worker."""

import json
import re
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.drawings import base64_png, draw, support_of
from tests.e2e.service import Service
from tests.running import free_port
from tests.worker.site import until

BODY = {"base": "omniglot", "support": support_of(2), "learner": "protonet"}


def families(service: Service) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(service.client.get("/metrics").text)}


def value(service: Service, sample: str, **labels: str) -> float:
    found = (one for family in families(service).values() for one in family.samples)
    return sum(one.value for one in found if one.name == sample and labels.items() <= one.labels.items())


def test_requests_batches_and_the_cache_are_counted(service: Service) -> None:
    route = {"method": "POST", "route": "/predict", "status": "200"}
    names = ("shotput_predict_seconds_count", "shotput_predict_batch_requests_sum", "shotput_model_cache_hits_total")
    before = [value(service, "shotput_http_requests_total", **route), *(value(service, name) for name in names)]
    model = service.adapt(BODY).json()["id"]
    for seed in (1, 2, 3):
        assert service.predict(model, [base64_png(draw("circle", seed))]).status_code == 200
    after = [value(service, "shotput_http_requests_total", **route), *(value(service, name) for name in names)]
    assert [new - old for new, old in zip(after, before, strict=True)] == [3, 3, 3, 2]
    assert value(service, "shotput_predict_seconds_count", base="omniglot", learner="protonet") >= 3
    assert value(service, "shotput_model_cache_bytes") > 0


def test_the_queues_and_workers_are_told(service: Service) -> None:
    assert value(service, "shotput_redis_up") == 1
    until(lambda: value(service, "shotput_queue_depth", queue="adapt") == 0)
    assert value(service, "shotput_workers", queue="adapt") == 1


def test_labels_hold_nothing_that_a_client_chose(service: Service) -> None:
    service.client.get("/models/mdl_" + "7" * 32)
    service.client.get("/a-path-that-nobody-has")
    service.client.request("BREW", "/models")
    text = service.client.get("/metrics").text
    assert 'route="/models/{id}",status="404"' in text
    assert 'route="(none)",status="404"' in text
    assert not re.search(r"7{9}|nobody|BREW|default", text)


def test_a_queue_that_nobody_serves_grows_and_ages(fragile_service: Service) -> None:
    service = fragile_service
    for worker in service.workers:
        worker.kill()
        worker.wait()
    for _ in range(3):
        assert service.adapt(BODY, prefer="respond-async").status_code == 202
    assert value(service, "shotput_queue_depth", queue="adapt") == 3
    assert 0 < value(service, "shotput_queue_oldest_age_seconds", queue="adapt") < 60
    service.server.stop()
    assert value(service, "shotput_redis_up") == 0
    assert "shotput_queue_depth" not in families(service)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_one_request_is_followed_from_http_to_the_workers_log(service: Service) -> None:
    support = {"inputs": [{"secretive": 1.5}, {"secretive": 2.5}], "labels": ["unspeakable", "b"]}
    body = {"base": "table", "support": support, "name": "confidential"}
    made = service.client.post("/adapt?token=hidden", json=body, headers={"X-Request-Id": "till-3:0042"})
    assert made.status_code == 201, made.text
    assert made.headers["X-Request-Id"] == "till-3:0042"
    id = made.json()["id"]
    assert service.client.get(f"/jobs/{id}").json()["request_id"] == "till-3:0042"

    api = (service.folder / "api.log").read_text()
    (seen,) = [line for line in lines(api) if line.get("request_id") == "till-3:0042"]
    assert (seen["method"], seen["route"], seen["status"]) == ("POST", "/adapt", 201)
    done = until(lambda: [line for line in lines(service.log()) if line.get("request_id") == "till-3:0042"])
    assert any(line["message"].startswith(f"{id}: begun") for line in done)
    for word in ("unspeakable", "secretive", "confidential", "hidden"):
        assert word not in api + service.log()


@pytest.mark.parametrize("given", ["a b", "x" * 200, '"}'])
def test_a_malformed_id_is_answered_with_another(service: Service, given: str) -> None:
    answer = service.client.get("/models/x", headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"] != given


def test_a_worker_of_its_own_tells_its_metrics(service: Service) -> None:
    port = free_port()
    service.start_worker("meta-train", SHOTPUT_METRICS_PORT=str(port))
    until(lambda: service.answers(f"http://127.0.0.1:{port}/metrics"), seconds=60)
    assert "shotput_orders_finished_total" in service.client.get(f"http://127.0.0.1:{port}/metrics").text

"""Processes die and Redis forgets; nothing accepted is lost, and each client sees one result."""

import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx

from tests.drawings import support_of
from tests.e2e.service import Service
from tests.worker.site import until
from worker.pulse import CLAIM_KEY

BODY = {"base": "omniglot", "support": support_of(2)}
ROWS: dict[str, list[Any]] = {"inputs": [{"a": i} for i in range(800)], "labels": [str(i % 20) for i in range(800)]}
SLOW = {"base": "table", "support": ROWS, "learner": "logistic"}
"""Long enough to be caught in the middle of it."""


def test_an_adapt_whose_worker_is_killed_is_finished_by_another(fragile_service: Service) -> None:
    service = fragile_service
    with ThreadPoolExecutor() as pool:
        waiting: Future[httpx.Response] = pool.submit(service.adapt, SLOW, "wait=60")
        until(lambda: service.redis.keys(f"{CLAIM_KEY}*"))
        service.workers[0].send_signal(signal.SIGKILL)
        killed = time.monotonic()
        service.start_worker("adapt")
        response = waiting.result(timeout=60)
    assert response.status_code == 201, response.text
    assert time.monotonic() - killed < 30
    assert service.predict(response.json()["id"], [{"a": 1}]).status_code == 200
    assert len(service.client.get("/models").json()["data"]) == 1


def test_orders_that_redis_forgot_are_carried_out(fragile_service: Service) -> None:
    service = fragile_service
    service.workers[0].send_signal(signal.SIGSTOP)  # alive, but taking nothing
    accepted = [service.adapt(BODY, "wait=0").json()["id"] for _ in range(5)]
    assert all(service.client.get(f"/models/{id}").json()["status"] == "queued" for id in accepted)
    assert service.predict(accepted[0], BODY["support"]["inputs"][:1]).status_code == 409  # type: ignore[index]
    service.redis.flushall()
    service.workers[0].send_signal(signal.SIGCONT)
    for id in accepted:
        assert service.client.get(f"/jobs/{id}", params={"wait": 30}).json()["status"] == "ready"


def test_who_waits_for_an_order_hears_that_it_was_cancelled_or_deleted(fragile_service: Service) -> None:
    service = fragile_service
    service.workers[0].send_signal(signal.SIGSTOP)
    for path, status in (("/jobs/", 409), ("/models/", 410)):
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(service.adapt, BODY, "wait=30")
            id = until(lambda: _open_models(service))[0]
            assert service.client.delete(path + id).is_success
            assert waiting.result(timeout=10).status_code == status
    service.workers[0].send_signal(signal.SIGCONT)


def test_a_cancelled_adapt_makes_room_for_the_next(fragile_service: Service) -> None:
    service = fragile_service
    rows = [{"a": i, "b": i % 7} for i in range(5000)]
    endless = {"base": "table", "support": {"inputs": rows, "labels": [f"{i % 200}" for i in range(5000)]}}
    service.settings["SHOTPUT_MAX_WAYS"] = "200"
    service.restart_api()
    id = service.adapt(endless, "wait=0").json()["id"]
    until(lambda: service.redis.exists(CLAIM_KEY + id))
    assert service.client.delete(f"/jobs/{id}").json()["status"] == "cancelled"
    assert service.adapt(BODY, "wait=20").status_code == 201
    assert service.client.get(f"/models/{id}").json()["status"] == "cancelled"


def test_more_than_may_wait_is_refused_until_there_is_room(fragile_service: Service) -> None:
    service = fragile_service
    service.settings["SHOTPUT_MAX_WAITING"] = "3"
    service.restart_api()
    service.workers[0].send_signal(signal.SIGSTOP)
    answers = [service.adapt(BODY, "wait=0") for _ in range(10)]
    accepted = [answer.json()["id"] for answer in answers if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code != 202]
    assert len(accepted) == 3
    assert all((answer.status_code, answer.json()["code"]) == (503, "unavailable") for answer in refused)
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert len(_open_models(service)) == len(accepted), "what was refused is not kept"
    service.workers[0].send_signal(signal.SIGCONT)
    for id in accepted:
        assert service.client.get(f"/jobs/{id}", params={"wait": 60}).json()["status"] == "ready"
    assert service.adapt(BODY, "wait=60").status_code == 201


def test_an_api_process_that_shall_end_answers_who_waits_and_loses_nothing(fragile_service: Service) -> None:
    service = fragile_service
    service.workers[0].send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(service.adapt, BODY, "wait=60") for _ in range(4)]
        until(lambda: len(_open_models(service)) == 4)
        assert service.api is not None
        service.api.send_signal(signal.SIGTERM)
        answers = [answer.result(timeout=50) for answer in waiting]
        assert service.api.wait(30) in (0, -signal.SIGTERM)
    assert [answer.status_code for answer in answers] == [202] * 4
    service.workers[0].send_signal(signal.SIGCONT)
    service.start_api()
    until(lambda: service.answers("/healthz"), seconds=180)
    for answer in answers:
        assert service.client.get(f"/jobs/{answer.json()['id']}", params={"wait": 60}).json()["status"] == "ready"


def test_a_restart_keeps_everything(fragile_service: Service) -> None:
    service = fragile_service
    before = service.adapt(BODY).json()
    expected = service.predict(before["id"], BODY["support"]["inputs"]).json()  # type: ignore[index]
    assert service.api is not None
    for process in (service.api, *service.workers):
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    service.server.stop()
    service.server.start()
    service.start()
    assert service.client.get(f"/models/{before['id']}").json() == before
    assert service.predict(before["id"], BODY["support"]["inputs"]).json() == expected  # type: ignore[index]


def test_without_redis_adapts_are_kept_and_predictions_go_on(fragile_service: Service) -> None:
    service = fragile_service
    model = service.adapt(BODY).json()["id"]
    service.server.stop()
    assert service.client.get("/readyz").status_code == 503
    assert service.predict(model, BODY["support"]["inputs"]).status_code == 200  # type: ignore[index]
    response = service.adapt(BODY, "wait=0")
    assert response.status_code == 202
    service.server.start()
    job = until(lambda: _ended(service, response.json()["id"]))
    assert job["status"] == "ready"


def _open_models(service: Service) -> list[str]:
    models = service.client.get("/models").json()["data"]
    return [model["id"] for model in models if model["status"] in ("queued", "running")]


def _ended(service: Service, id: str) -> Any:
    job = service.client.get(f"/jobs/{id}", params={"wait": 5}).json()
    return job if job["status"] not in ("queued", "running") else None

"""Several API processes on one port and one store."""

import os
import signal
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from app.processes import api, counted_together
from app.settings import Settings
from tests.drawings import support_of
from tests.e2e.service import Service
from tests.running import free_port
from tests.worker.site import until


@pytest.fixture(scope="module")
def url(service: Service) -> Iterator[str]:
    """A second API beside that of the service, of two processes."""
    settings = Settings(
        home=service.folder, redis_url=service.server.url, port=free_port(), api_processes=2, cache_bytes=1 << 26
    )
    with (service.folder / "second.log").open("ab") as log:
        environment = {**os.environ, **settings.environment(), **counted_together(service.folder / "metrics")}
        process = subprocess.Popen(api(settings).command, env=environment, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{settings.port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def statuses(url: str, path: str, **request: object) -> set[int]:
    """Of many requests, each over a connection of its own, so that every process gets some."""
    answers = [httpx.request("POST", url + path, trust_env=False, timeout=60, **request) for _ in range(24)]  # type: ignore[arg-type]
    return {answer.status_code for answer in answers}


def test_a_deletion_in_one_process_is_seen_by_the_others(service: Service, url: str) -> None:
    support = support_of(2)
    until(lambda: _listens(url), seconds=120)
    model = service.adapt({"base": "omniglot", "support": support}).json()["id"]
    question = {"model": model, "inputs": support["inputs"][:1]}
    assert statuses(url, "/predict", json=question) == {200}
    assert httpx.delete(f"{url}/models/{model}", trust_env=False, timeout=60).status_code == 204
    until(lambda: statuses(url, "/predict", json=question) == {410})
    metrics = httpx.get(f"{url}/metrics", trust_env=False, timeout=60).text  # of both processes, whichever answers
    assert 'shotput_http_requests_total{method="POST",route="/predict",status="200"} 24.0' in metrics
    assert service.predict(model, support["inputs"][:1]).status_code == 410


def test_a_moved_alias_is_seen_by_all_processes(service: Service, url: str) -> None:
    until(lambda: _listens(url), seconds=120)
    support = support_of(1)
    old, new = (service.adapt({"base": "omniglot", "support": support}).json()["id"] for _ in range(2))
    question = {"model": "moving", "inputs": support["inputs"][:1]}

    def answering() -> set[str]:
        sent = [httpx.post(f"{url}/predict", json=question, trust_env=False, timeout=60) for _ in range(12)]
        return {answer.raise_for_status().json()["model"] for answer in sent}

    for model in (old, new):
        service.client.put("/aliases/moving", json={"model": model}).raise_for_status()
        until(lambda model=model: answering() == {model})


def _listens(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False, timeout=60).is_success
    except httpx.TransportError:
        return False

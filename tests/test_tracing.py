"""One trace from HTTP through the queue and the worker to the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.main import create_app
from meta_core import tracing
from meta_core.errors import InvalidParameter
from meta_core.limits import Limits
from tests.worker.site import Site
from worker.__main__ import open_workplace
from worker.jobs import jobs_of
from worker.process import OrderWorker
from worker.settings import Settings
from worker.shutdown import Shutdown

TRACE = "0af7651916cd43dd8448eb211c80319c"
SUPPORT = {"inputs": [{"x": 1.0}, {"x": 2.0}, {"x": 9.0}], "labels": ["low", "low", "high"]}


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    found = InMemorySpanExporter()
    end = tracing.start("test", SimpleSpanProcessor, found)
    yield found
    end()


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    found = Site(tmp_path_factory.mktemp("s"))
    yield found
    found.close()


def carry_out_one(site: Site) -> None:
    """What a worker process does, in this one, so that its spans reach the same exporter."""
    settings = Settings(home=Path(site.folder), store=site.store.url, redis_url=site.server.url, device="cpu")
    place = open_workplace(settings, Shutdown())
    OrderWorker("adapt", place, jobs_of("adapt", place)).work_until_asked_to_end(1)


def test_an_adapt_is_one_trace_from_the_caller_to_the_store(site: Site, exporter: InMemorySpanExporter) -> None:
    app = create_app(
        site.store, site.server.url, Limits(), device=torch.device("cpu"), wait_seconds=0, cache_bytes=1 << 20
    )
    parent = f"00-{TRACE}-b7ad6b7169203331-01"
    with TestClient(app, client=("127.0.0.1", 1), base_url="http://localhost") as client:
        body = {"base": "table", "learner": "ridge", "support": SUPPORT}
        made = client.post("/adapt", json=body, headers={"traceparent": parent})
    assert made.status_code == 202, made.text
    carry_out_one(site)

    spans = {span.name: span for span in exporter.get_finished_spans() if _trace(span) == TRACE}
    assert {"POST /adapt", "submit order", "adapt", "store put", "store get"} <= spans.keys()
    server, submitted = spans["POST /adapt"], spans["submit order"]
    assert server.parent is not None
    assert f"{server.parent.span_id:016x}" == "b7ad6b7169203331"
    assert submitted.parent is not None
    assert submitted.parent.span_id == server.context.span_id
    (consumed,) = (span for span in exporter.get_finished_spans() if span.kind.name == "CONSUMER")
    assert consumed.parent is not None
    assert consumed.parent.span_id == submitted.context.span_id
    of_worker = [
        s.name for s in exporter.get_finished_spans() if s.parent and s.parent.span_id == consumed.context.span_id
    ]
    assert {"adapt", "store get", "store put", "store delete"} <= set(of_worker)


def _trace(span: ReadableSpan) -> str:
    return f"{span.context.trace_id:032x}"


def test_without_anybody_listening_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    tracing.start_if_asked("test")
    with tracing.span("unseen"):
        assert tracing.traceparent() is None


def test_asking_for_traces_without_the_extra_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InvalidParameter, match="the extra `otel` is not installed"):
        tracing.start_if_asked("test")

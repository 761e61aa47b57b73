"""Traces in OpenTelemetry's terms; without the extra `otel`, or where nobody listens, all of this does nothing.

A trace goes on from process to process as a W3C traceparent: in the header of a request, then in its order.
"""

import contextlib
import functools
import importlib.util
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from meta_core.errors import InvalidParameter

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

Kind = Literal["internal", "server", "producer", "consumer", "client"]
P = ParamSpec("P")
R = TypeVar("R")

_tracer: "Tracer | None" = None


def start_if_asked(service: str) -> None:
    """Send spans to where OpenTelemetry's own variables say, if they say so. Raises `InvalidParameter` without it."""
    named = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not named or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    if importlib.util.find_spec("opentelemetry.exporter") is None:
        raise InvalidParameter(f"OTEL_EXPORTER_OTLP_ENDPOINT is {named}, but the extra `otel` is not installed")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    start(service, BatchSpanProcessor, OTLPSpanExporter())


def start(service: str, processor: Callable[["SpanExporter"], Any], exporter: "SpanExporter") -> Callable[[], None]:
    """Trace from now on, to this exporter; returns what ends it. Sampling follows OpenTelemetry's own variables."""
    global _tracer  # noqa: PLW0603 – one a process, as OpenTelemetry itself has it
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(processor(exporter))
    _tracer = provider.get_tracer("shotput")
    return functools.partial(_stop, provider)


def _stop(provider: Any) -> None:
    global _tracer  # noqa: PLW0603
    _tracer = None
    provider.shutdown()


def span(
    name: str, *, parent: str | None = None, kind: Kind = "internal", **attributes: Any
) -> contextlib.AbstractContextManager[object]:
    """Do something as a span; `parent` is the traceparent of another process, else it is the current span."""
    return _NOTHING if _tracer is None else _span(_tracer, name, parent, kind, attributes)


_NOTHING = contextlib.nullcontext()


@contextlib.contextmanager
def _span(tracer: "Tracer", name: str, parent: str | None, kind: Kind, attributes: dict[str, Any]) -> Iterator[None]:
    from opentelemetry.trace import SpanKind  # noqa: PLC0415

    context = _propagator().extract({"traceparent": parent}) if parent else None
    kept = {key.replace("__", "."): value for key, value in attributes.items() if value is not None}
    with tracer.start_as_current_span(name, context, SpanKind[kind.upper()], kept):
        yield


def rename(name: str, **attributes: Any) -> None:
    """Say of the current span what was not known when it began."""
    if _tracer is not None:
        from opentelemetry.trace import get_current_span  # noqa: PLC0415

        current = get_current_span()
        current.update_name(name)
        current.set_attributes({key.replace("__", "."): value for key, value in attributes.items()})


def traceparent() -> str | None:
    """What another process needs to go on with this trace."""
    if _tracer is None:
        return None
    carrier: dict[str, str] = {}
    _propagator().inject(carrier)
    return carrier.get("traceparent")


def traced(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a span of each call of a function that is made within a trace."""

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if traceparent() is None:
                return function(*args, **kwargs)
            with span(name):
                return function(*args, **kwargs)

        return call

    return wrap


@functools.cache
def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    return TraceContextTextMapPropagator()

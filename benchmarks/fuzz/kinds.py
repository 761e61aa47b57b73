"""Every kind of cases."""

from collections.abc import Iterator

from benchmarks.fuzz.api import Api
from benchmarks.fuzz.case import Case
from benchmarks.fuzz.decoders import decoders, uploaded


def kinds(api: Api) -> Iterator[tuple[str, Case, float]]:
    """Every kind, with its share of the cases: what is quick is tried more often."""
    yield from ((name, case, 3.0 if "JSON" in name or name == "npy" else 2.0) for name, case in decoders().items())
    yield from ((name, case, 1.5) for name, case in uploaded().items())
    yield from ((name, case, 2.0 if name == "HTTP bodies" else 1.0) for name, case in api.cases().items())

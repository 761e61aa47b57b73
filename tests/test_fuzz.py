"""Damaged input ends in success or in an error that names what is wrong; `benchmarks.bad_input` tries more."""

from collections.abc import Iterator

import pytest

from benchmarks.fuzz.api import Api
from benchmarks.fuzz.case import run
from benchmarks.fuzz.decoders import decoders, uploaded

KINDS = {**decoders(), **uploaded()}
CASES = 120


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # libsndfile seeks before the start
@pytest.mark.parametrize("kind", KINDS)
def test_no_decoder_fails_but_with_an_error_of_ours(kind: str) -> None:
    assert run(KINDS[kind], CASES, seed=7).findings == []


@pytest.mark.parametrize("kind", ["HTTP bodies", "HTTP forms", "HTTP uploads", "HTTP paths", "HTTP headers"])
def test_no_request_is_answered_with_anything_but_success_or_a_problem(api: Api, kind: str) -> None:
    tally = run(api.cases()[kind], CASES, seed=7)
    assert tally.findings == []
    assert tally.cases == CASES

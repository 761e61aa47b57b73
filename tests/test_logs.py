"""Logs: one line a record, whatever is in it, and the request it belongs to."""

import json
import logging
from collections.abc import Iterator

import pytest

from meta_core import logs


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(capsys: pytest.CaptureFixture[str], format: logs.LogFormat) -> str:
    logs.configure(format)
    with logs.about("abc-1"):
        logging.getLogger("some.part").warning("a path\nINFO forged: %s", "x\u2028y", extra={"status": 404})
    return capsys.readouterr().err


@pytest.mark.usefixtures("restored")
def test_json_has_a_line_a_record_with_its_request(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = written(capsys, "json").splitlines()
    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "warning",
        "logger": "some.part",
        "message": "a path\nINFO forged: x\u2028y",
        "request_id": "abc-1",
        "status": 404,
    }


@pytest.mark.usefixtures("restored")
def test_text_has_a_line_a_record_too(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = written(capsys, "text").splitlines()
    assert line.endswith("WARNING some.part: a path�INFO forged: x�y request_id=abc-1 status=404")


@pytest.mark.parametrize("given", [None, "", " ", "a b", "-a", "x" * 129, "a\nb", "é", '{"a":1}'])
def test_a_malformed_id_is_replaced(given: str | None) -> None:
    made = logs.request_id(given)
    assert made != given
    assert logs.WELL_FORMED.fullmatch(made)


@pytest.mark.parametrize("given", ["a", "01JD-x.y_z:7", "x" * 128])
def test_a_well_formed_one_is_taken(given: str) -> None:
    assert logs.request_id(given) == given

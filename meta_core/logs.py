"""Logs on stderr, a line a record, as text or JSON; each names the request that caused it.

What is logged are ids, names, codes and counts. Inputs, labels, keys, bodies and query strings are not.
"""

import json
import logging
import re
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

LogFormat = Literal["text", "json"]
WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_request: ContextVar[str | None] = ContextVar("request", default=None)


def request_id(given: str | None) -> str:
    """The id of a request: the caller's own where it is well formed, else a new one."""
    return given if given is not None and WELL_FORMED.fullmatch(given) else uuid.uuid4().hex


def current_request() -> str | None:
    """The id of the request that is being worked for."""
    return _request.get()


@contextmanager
def about(request: str | None) -> Iterator[None]:
    """Work for a request: what is logged meanwhile names it."""
    before = _request.set(request)
    try:
        yield
    finally:
        _request.reset(before)


def configure(format: LogFormat, level: int = logging.INFO) -> None:
    """Send the logs of this process, those of its libraries too, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JSONLines() if format == "json" else _Text())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    access = logging.getLogger("uvicorn.access")  # requests are told by the application, which knows their ids
    access.handlers.clear()
    access.propagate = False
    logging.getLogger("httpx").setLevel(logging.WARNING)


class _JSONLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_more(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        more = " ".join(f"{name}={value}" for name, value in _more(record).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        line = CONTROL.sub("�", f"{line} {more}" if more else line)  # nobody's text begins a line of its own
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _more(record: logging.LogRecord) -> dict[str, Any]:
    given = {name: value for name, value in vars(record).items() if name not in _USUAL and name != "color_message"}
    request = current_request()
    return {**({"request_id": request} if request else {}), **given}


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"

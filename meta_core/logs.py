"""Logs on stderr, a line a record, as text or JSON; each names the request that caused it.

What is logged are ids, names, codes and counts. Inputs, labels, keys, bodies and query strings are not.
"""

import asyncio
import functools
import json
import logging
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, TextIO

LogFormat = Literal["text", "json"]
ACCESS = "shotput.access"
"""Name of the logger of requests."""
WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_request: ContextVar[str | None] = ContextVar("request", default=None)


def request_id(given: str | None) -> str:
    """The id of a request: the caller's own where it is well formed, else a new one."""
    if given is not None and WELL_FORMED.fullmatch(given):
        return given
    return f"{random.getrandbits(128):032x}"


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
    handler = _Gathering(sys.stderr)
    handler.setFormatter(_JSONLines() if format == "json" else _Text())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    access = logging.getLogger("uvicorn.access")  # requests are told by the application, which knows their ids
    access.handlers.clear()
    access.propagate = False
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # for each line, and unread


class _Gathering(logging.StreamHandler[TextIO]):
    """Writes the requests logged within one turn of an event loop together: a write costs more than making a line.

    Everything else is written at once, after what was gathered: a process may end with the line it has just logged.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, and see to it that it is written."""
        try:
            self._lines.append(self.format(record))
            loop = _running_loop() if record.name == ACCESS else None
            if loop is None:
                self.flush()
            else:
                loop.call_soon(self.flush)
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Write what was gathered."""
        assert self.lock is not None
        with self.lock:
            lines, self._lines = self._lines, []
            if lines:
                self.stream.write("\n".join([*lines, ""]))
                super().flush()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


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
        line = f"{line} {more}" if more else line
        if not line.isprintable():
            line = CONTROL.sub("�", line)  # nobody's text begins a line of its own
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _more(record: logging.LogRecord) -> dict[str, Any]:
    given = {name: value for name, value in vars(record).items() if name not in _USUAL and name != "color_message"}
    request = current_request()
    return {**({"request_id": request} if request else {}), **given}


def _time(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@functools.lru_cache(maxsize=2)
def _second(since_1970: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since_1970))

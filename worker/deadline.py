"""The longest time an order may take: first an exception, then the end of the process."""

import faulthandler
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from meta_core.errors import BrokenOff

GRACE = 30
"""Seconds between the two: for committing the failure, and for leaving code that knows no Python exceptions."""


class TookTooLong(BrokenOff):
    """The work was interrupted at its time limit."""


@contextmanager
def deadline(seconds: int) -> Iterator[None]:
    """Raise `TookTooLong` in the main thread after that time.

    The signal waits for running C code to return. If that never happens, the process writes where it hangs to stderr
    and ends; `faulthandler` does it from a thread that does not need the interpreter's lock. The order is then taken
    up by another worker, three times at most.
    """

    def expire(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLong(f"took longer than {seconds} s")

    signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True)
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()

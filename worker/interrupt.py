"""Stopping an adapt that nobody wants any more, or that its worker has no time for."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from meta_core.errors import Cancelled
from worker.life import Interrupted
from worker.pulse import Pulse


@contextmanager
def cancellable(pulse: Pulse) -> Iterator[None]:
    """Raise `Cancelled` in the main thread once the pulse sees that the order has an outcome already.

    And `Interrupted` at the first beat after the process was asked to end: what is quick is finished, what is long is
    left to another worker, before whoever asked loses patience and kills this one.

    A training looks for itself at every step; an adapt is one piece of arithmetic, so a signal has to break in.
    """

    def cancel(_number: int, _frame: FrameType | None) -> None:
        if pulse.unwanted:
            raise Cancelled("the order has an outcome already")
        if pulse.ending():
            raise Interrupted("this worker shall end; another begins the adapt anew")

    main = threading.main_thread().ident
    assert main is not None
    signal.signal(signal.SIGUSR1, cancel)
    pulse.when_unwanted = lambda: signal.pthread_kill(main, signal.SIGUSR1)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        pulse.when_unwanted = None

"""Stopping an adapt that nobody wants any more."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from meta_core.errors import Cancelled
from worker.pulse import Pulse


@contextmanager
def cancellable(pulse: Pulse) -> Iterator[None]:
    """Raise `Cancelled` in the main thread once the pulse sees that the order has an outcome already.

    A training looks for itself at every step; an adapt is one piece of arithmetic, so a signal has to break in.
    """

    def cancel(_number: int, _frame: FrameType | None) -> None:
        raise Cancelled("the order has an outcome already")

    main = threading.main_thread().ident
    assert main is not None
    signal.signal(signal.SIGUSR1, cancel)
    pulse.when_unwanted = lambda: signal.pthread_kill(main, signal.SIGUSR1)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        pulse.when_unwanted = None

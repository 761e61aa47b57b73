"""Being told of the end before it comes."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def told_of_the_end(call: Callable[[], None]) -> Iterator[None]:
    """Have `call` called in the running loop at SIGTERM and SIGINT, beside what the server does at them.

    The server waits for running requests before it tells the application anything, and some of those wait long.
    """
    if threading.current_thread() is not threading.main_thread():  # a server inside another program
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def tell(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(call)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number, handler in before.items():
        if callable(handler):  # else it is the system that ends this process, at once
            signal.signal(number, tell)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

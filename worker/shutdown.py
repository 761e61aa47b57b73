"""The request to end, made by a signal."""

import logging
import signal
from types import FrameType

log = logging.getLogger(__name__)


class Shutdown:
    """Whether SIGTERM or SIGINT came; looked at between orders and between training steps.

    A plain flag, since a `threading.Event` set by a signal handler can wait forever for the thread it interrupted.
    """

    def __init__(self) -> None:
        self.requested = False

    def listen(self) -> None:
        """Take the signals; from the main thread only."""
        signal.signal(signal.SIGTERM, self._request)
        signal.signal(signal.SIGINT, self._request)

    def _request(self, number: int, _frame: FrameType | None) -> None:
        self.requested = True

"""What can go wrong, named after the caller's mistake.

MetaError
├── InvalidRequest          the request cannot be carried out as it stands
│   ├── InvalidTask         a support set nothing can be learned from
│   ├── InvalidExample      one example that cannot be read (knows its index)
│   ├── InvalidDataset      a file of examples that cannot be taken (knows the places)
│   ├── InvalidParameter    an unknown or impossible setting (names the known ones)
│   └── LimitExceeded       more ways, examples, pixels or bytes than this service takes
├── Unauthenticated         nobody knows who asks
├── Forbidden               the caller was not granted this
├── QuotaExceeded           more than the tenant may ask for now
├── StorageQuotaExceeded    more than the tenant may have, until something of it is deleted
├── NotFound                no base model, adapted model, learner… of that name
├── Gone                    it was there and has been deleted
├── NotReady                it is still being made
├── Unusable                making it failed or was cancelled
├── InUse                   something else depends on it
├── Cancelled               somebody asked for the running work to stop
├── Unavailable             a part this depends on (queue, download) does not answer
└── CorruptArtifact         bytes that are no artifact of ours

Beside it `BrokenOff` is what stops running work from outside; `Cancelled` is one.
"""

import reprlib
from collections.abc import Iterable, Sequence
from typing import Any, Literal

ExampleField = Literal["inputs", "labels", "unlabelled"]
WHAT_IS_AT: dict[ExampleField, str] = {"inputs": "example", "labels": "label", "unlabelled": "unlabelled example"}


class MetaError(Exception):
    """Root of every error that a caller can understand; `code` is stable across releases."""

    code = "error"


class InvalidRequest(MetaError):
    """The request cannot be carried out as it stands."""

    code = "invalid_request"


class InvalidTask(InvalidRequest):
    """A support set or episode from which nothing can be learned."""

    code = "invalid_task"


class InvalidExample(InvalidRequest):
    """One example that cannot be read; `index` is its position in the inputs, labels or unlabelled inputs."""

    code = "invalid_example"

    def __init__(self, index: int, detail: str, field: ExampleField = "inputs") -> None:
        super().__init__(f"{WHAT_IS_AT[field]} {index}: {detail}")
        self.index = index
        self.detail = detail
        self.field = field


class InvalidDataset(InvalidRequest):
    """A file of examples that cannot be taken; `problems` are places in it and what is wrong there."""

    code = "invalid_dataset"
    MOST = 20
    """Problems that are told at once."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = [(place[:300], detail) for place, detail in problems[: self.MOST]]
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        super().__init__("; ".join(f"{place}: {detail}" for place, detail in self.problems[:3]) + more)


class InvalidParameter(InvalidRequest):
    """An unknown or impossible setting; `parameter` is its name, where there is one."""

    code = "invalid_parameter"

    def __init__(self, detail: str, parameter: str | None = None) -> None:
        super().__init__(detail)
        self.parameter = parameter


class LimitExceeded(InvalidRequest):
    """More than this service takes; `limit` is the name of the setting."""

    code = "limit_exceeded"

    def __init__(self, what: str, found: int, limit: str, most: int) -> None:
        super().__init__(f"{found} {what}, but at most {most} are taken (setting {limit}={most})")
        self.limit = limit


class Unauthenticated(MetaError):
    """Nobody knows who asks."""

    code = "unauthenticated"


class Forbidden(MetaError):
    """The caller was not granted this; the message names what is missing."""

    code = "forbidden"


class QuotaExceeded(MetaError):
    """More than the tenant may ask for: `most` in `window` seconds, and none before `reset` seconds have passed."""

    code = "quota_exceeded"

    def __init__(self, what: str, most: int, window: int, *, reset: int) -> None:
        super().__init__(f"at most {most} {what} in {window} s; try again in {reset} s")
        self.what = what
        self.most = most
        self.window = window
        self.reset = reset


class StorageQuotaExceeded(MetaError):
    """More than the tenant may have; `what` is models or bytes. It passes by deleting, not by waiting."""

    code = "quota_exceeded"

    def __init__(self, what: str, *, used: int, wanted: int, most: int) -> None:
        super().__init__(
            f"the quota is {most} {what}; {used} are used, and this needs {wanted} more: delete what is not needed "
            "(DELETE /models/{id}, DELETE /datasets/{id}), or ask the operator for more"
        )
        self.what = what
        self.used = used
        self.wanted = wanted
        self.most = most


class NotFound(MetaError):
    """Nothing of that name."""

    code = "not_found"

    @classmethod
    def among(cls, what: str, name: str, known: Iterable[str]) -> "NotFound":
        """The error for a name that is not one of the `known`."""
        return cls(f"no {what} {shown(name)}; there are: {', '.join(sorted(known)) or 'none'}")


class Gone(MetaError):
    """It was there and has been deleted."""

    code = "gone"


class NotReady(MetaError):
    """It is still being made."""

    code = "not_ready"


class Unusable(MetaError):
    """Making it failed or was cancelled; the message says why."""

    code = "unusable"


class InUse(MetaError):
    """Something else depends on it; the message names what."""

    code = "in_use"


class BrokenOff(Exception):
    """Running work shall stop, at whatever it is: no failure of what it breaks into, which must let it pass."""


class Cancelled(MetaError, BrokenOff):
    """Somebody asked for the running work to stop."""

    code = "cancelled"


class Unavailable(MetaError):
    """A part this depends on does not answer."""

    code = "unavailable"


class DownloadFailed(MetaError):
    """A file from elsewhere cannot be had, or is not the one expected."""

    code = "download_failed"


class CorruptArtifact(MetaError):
    """Bytes that are no artifact of ours, or of a newer format."""

    code = "corrupt_artifact"


def shown(value: Any) -> str:
    """A value as it may stand in a message: whoever sends a megabyte does not get it back."""
    text = reprlib.repr(value)
    return text if len(text) <= 100 else f"{text[:99]}…"

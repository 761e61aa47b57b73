"""Where the course of a training is written down."""

import json
from pathlib import Path
from typing import Any, Protocol

from meta_core.errors import InvalidParameter
from meta_core.training import Progress


class TrainingLog(Protocol):
    """Takes down every report of a training."""

    def __call__(self, progress: Progress) -> None:
        """One report."""

    def close(self) -> None:
        """There will be no more."""


class JSONLines:
    """A row of JSON for each step, appended: episode, loss, validation, rate, seconds.

    A training that goes on from a checkpoint writes the steps since then again; the later row of an episode counts.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def __call__(self, progress: Progress) -> None:
        """One row."""
        self._file.write(json.dumps(row_of(progress)) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorBoard:
    """Scalars `loss`, `validation` and `rate` by episode, for `tensorboard --logdir`. Raises `InvalidParameter`."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 an extra
        except ImportError:
            raise InvalidParameter("TensorBoard is not installed: pip install 'shotput[tensorboard]'") from None
        self._writer = SummaryWriter(str(folder))

    def __call__(self, progress: Progress) -> None:
        """One point of each curve."""
        row = row_of(progress)
        for name in ("loss", "validation", "rate"):
            if row[name] is not None:
                self._writer.add_scalar(name, row[name], row["episode"])

    def close(self) -> None:
        """Write out what is left."""
        self._writer.close()


def row_of(progress: Progress) -> dict[str, Any]:
    """A report as plain values; `validation` is accuracy, or for regression −NLL, and None before the first."""
    return {
        "episode": progress.episodes,
        "loss": progress.loss,
        "validation": progress.validation,
        "rate": progress.rate,
        "seconds": round(progress.seconds, 3),
    }

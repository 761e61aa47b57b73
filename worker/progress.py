"""How far the running order is, written down by its job and read by the thread that tells Redis."""

import json
import time
from typing import Any

from redis.typing import EncodableT, FieldT

from meta_core.training import Progress


class Board:
    """The last report of a training; noting one costs next to nothing, so that it can be done at every step."""

    def __init__(self, attempt: int = 1, stage: str = "starting") -> None:
        self.attempt = attempt
        self.stage = stage
        self._latest: Progress | None = None
        self._losses: list[float] = []
        self._counted: tuple[int, int | None] | None = None
        self._started: tuple[float, int] | None = None

    def count(self, stage: str, done: int, total: int | None) -> None:
        """Put up how much of something is done."""
        self.stage = stage
        self._counted = done, total

    def note(self, progress: Progress) -> None:
        """Put up a newer report."""
        self.stage = "training"
        if self._started is None:
            self._started = time.monotonic(), progress.step
        self._losses.append(progress.loss)
        self._latest = progress

    def fields(self) -> dict[FieldT, EncodableT]:
        """The hash in Redis, each value as JSON; the loss is the mean since it was last asked for."""
        values = {"stage": self.stage, "attempt": self.attempt, **self._counts(), **self._training()}
        return {name: json.dumps(value) for name, value in values.items()}

    def _counts(self) -> dict[str, float | None]:
        if self._counted is None:
            return {}
        done, total = self._counted
        return {"fraction": done / total if total else None, "done": done, "total": total}

    def _training(self) -> dict[str, Any]:
        losses, self._losses = self._losses, []
        if (latest := self._latest) is None:
            return {}
        return {
            "fraction": latest.step / latest.total_steps,
            "step": latest.step,
            "total_steps": latest.total_steps,
            "loss": sum(losses) / len(losses) if losses else latest.loss,
            "validation": latest.validation,
            "episodes": latest.episodes,
            "eta_seconds": self._remaining(latest),
            "curve": latest.curve,
        }

    def _remaining(self, latest: Progress) -> float | None:
        """Seconds to the end, at the pace since this worker began."""
        assert self._started is not None
        then, first = self._started
        if latest.step == first:
            return None
        return round((time.monotonic() - then) / (latest.step - first) * (latest.total_steps - latest.step), 1)

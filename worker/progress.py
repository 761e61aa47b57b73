"""How far the running order is, written down by its job and read by the thread that tells Redis."""

import json

from redis.typing import EncodableT, FieldT

from meta_core.training import Progress


class Board:
    """The last report of a training; noting one costs next to nothing, so that it can be done at every step."""

    def __init__(self, attempt: int = 1, stage: str = "starting") -> None:
        self.attempt = attempt
        self.stage = stage
        self._latest: Progress | None = None
        self._losses: list[float] = []

    def note(self, progress: Progress) -> None:
        """Put up a newer report."""
        self.stage = "training"
        self._losses.append(progress.loss)
        self._latest = progress

    def fields(self) -> dict[FieldT, EncodableT]:
        """The hash in Redis, each value as JSON; the loss is the mean since it was last asked for."""
        values = {"stage": self.stage, "attempt": self.attempt, **self._training()}
        return {name: json.dumps(value) for name, value in values.items()}

    def _training(self) -> dict[str, float | None]:
        losses, self._losses = self._losses, []
        if (latest := self._latest) is None:
            return {}
        return {
            "fraction": latest.step / latest.total_steps,
            "step": latest.step,
            "total_steps": latest.total_steps,
            "loss": sum(losses) / len(losses) if losses else latest.loss,
            "validation": latest.validation,
        }

"""BentoML's tasks: `bentoml serve benchmarks.crashed.bentoml_tasks:Adapts`; what serves the requests does the work."""

import uuid
from typing import Any

import bentoml

from benchmarks.crashed import work


@bentoml.service(workers=2, traffic={"timeout": 60})
class Adapts:
    """Adapts as tasks."""

    @bentoml.task
    def adapt(self, number: str, body: dict[str, Any]) -> None:
        """The task; it is not told its own id."""
        work.adapt(number, uuid.uuid4().hex, body)

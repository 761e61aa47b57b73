"""The module served by BentoML, one worker.

bentoml serve benchmarks.servers.bentoml_server:Api --port PORT
"""

from typing import Any

import bentoml

from benchmarks.servers.module import Served


@bentoml.service(workers=1, traffic={"timeout": 60})  # type: ignore[misc]
class Api:
    def __init__(self) -> None:
        self.served = Served()

    @bentoml.api  # type: ignore[misc]
    def predict(self, model: str, inputs: dict[str, str]) -> dict[str, Any]:
        return {"predictions": self.served.answer(inputs)}

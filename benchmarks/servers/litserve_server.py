"""The module served by LitServe, one worker, each request by itself (batches by its timer made it slower).

python benchmarks/servers/litserve_server.py PORT
"""

import sys
from typing import Any

import litserve

from benchmarks.servers.module import Served


class Api(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        self.served = Served()

    def decode_request(self, request: dict[str, Any]) -> dict[str, str]:
        inputs: dict[str, str] = request["inputs"]
        return inputs

    def predict(self, inputs: dict[str, str]) -> list[dict[str, Any]]:
        return self.served.answer(inputs)

    def encode_response(self, output: list[dict[str, Any]]) -> dict[str, Any]:
        return {"predictions": output}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=1)
    server.run(
        port=int(sys.argv[1]), host="127.0.0.1", num_api_servers=1, log_level="warning", generate_client_file=False
    )

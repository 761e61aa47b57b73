"""The whole service: a real Redis, real workers, and the API over real HTTP."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.running import free_port
from tests.worker.site import Process, Site, until


class Service(Site):
    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.settings = {"SHOTPUT_WAIT": "60", **settings}
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120, trust_env=False)
        self.api: Process | None = None

    def start(self) -> None:
        """API and one adapting worker, ready."""
        self.start_worker("adapt", **self.settings)
        self.start_api()
        until(lambda: self.answers("/readyz"), seconds=180)

    def start_api(self) -> None:
        paths = {"SHOTPUT_HOME": str(self.folder), "SHOTPUT_REDIS_URL": self.server.url}
        command = [sys.executable, "-m", "uvicorn", "app.main:build", "--factory", "--port", str(self.port)]
        with (self.folder / "api.log").open("ab") as log:
            self.api = subprocess.Popen(command, env={**os.environ, **paths, **self.settings}, stdout=log, stderr=log)

    def restart_api(self) -> None:
        assert self.api is not None
        self.api.kill()
        self.api.wait()
        self.start_api()
        until(lambda: self.answers("/readyz"), seconds=180)

    def answers(self, path: str) -> bool:
        try:
            return self.client.get(path).status_code == 200
        except httpx.TransportError:
            return False

    def close(self) -> None:
        self.client.close()
        if self.api is not None:
            self.api.kill()
            self.api.wait()
        super().close()

    def adapt(self, body: dict[str, Any], prefer: str | None = None) -> httpx.Response:
        return self.client.post("/adapt", json=body, headers={"Prefer": prefer} if prefer else {})

    def predict(self, model: str, inputs: Any) -> httpx.Response:
        return self.client.post("/predict", json={"model": model, "inputs": inputs})

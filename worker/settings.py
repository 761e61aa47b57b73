"""Settings of a worker process, read from the environment."""

from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from meta_core.logs import LogFormat
from meta_core.orders import Kind


def _under_home(folder: str) -> Any:
    return Field(default_factory=lambda given: str(given["home"] / folder))


class Settings(BaseSettings):
    """Each is set by the environment variable of its name in capitals behind SHOTPUT_."""

    model_config = SettingsConfigDict(env_prefix="SHOTPUT_", env_ignore_empty=True)

    home: Path = Path(".shotput")
    store: str = _under_home("store")
    datasets: str = _under_home("datasets")
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="unix:///path works too")
    queue: Kind = Field("adapt", description="what this process works on; one queue each, or a crash can lose a job")
    host: str = Field("127.0.0.1", description="address on which metrics are told")
    metrics_port: int | None = Field(None, ge=1, le=65535, description="port on which metrics are told; unset: none")
    log_format: LogFormat = Field("text", description="how logs are written: text or json")
    device: str = Field("auto", description="auto: a GPU if there is one; or cpu, cuda, cuda:1, mps")
    compile: bool = Field(False, description="whether bodies of images are also compiled for a GPU, and timed")
    threads: int = Field(1, ge=1, description="threads of one tensor operation")
    recycle_after: int = Field(5000, ge=1, description="orders after which the process ends, to be started afresh")

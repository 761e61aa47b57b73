"""Settings: environment variables that begin with SHOTPUT_."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.quotas import Quota
from meta_core.limits import Limits
from meta_core.logs import LogFormat

PREFIX = "SHOTPUT_"
_LIMITS = Limits()


class Settings(BaseSettings):
    """All that can be set; `shotput --help` is made from these descriptions."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore")

    host: str = Field("127.0.0.1", description="address the API listens on; 0.0.0.0 lets other machines in")
    port: int = Field(8000, ge=1, le=65535, description="port the API listens on")
    home: Path = Field(Path(".shotput"), description="data folder")
    store: str = Field("", description="object store: a folder or s3://, gs://, az://; empty: store/ in the home")
    redis_url: str | None = Field(None, description="Redis or Valkey to use; unset: `shotput up` starts one of its own")
    device: str = Field("auto", description="where models run: auto, cpu, cuda, cuda:1, mps")
    compile: bool = Field(
        False, description="whether bodies of images are also compiled for a GPU, a minute each at the start, and timed"
    )
    api_processes: int = Field(1, ge=1, le=64, description="processes of the API, on one port")
    workers: int = Field(1, ge=1, le=64, description="adapting processes that `shotput up` starts")
    threads: int = Field(1, ge=1, description="threads that a worker spends on one tensor operation")
    recycle_after: int = Field(5000, ge=1, description="orders after which a worker ends, to be started afresh")
    restart: bool = Field(True, description="whether `shotput up` replaces a process that died")
    datasets: Path = Field(Path(), description="folder of datasets, each in its own; empty: datasets/ in the home")
    cache_bytes: int = Field(1 << 30, ge=1, description="memory for adapted models in one API process")
    without_keys: Literal["loopback", "anyone", "nobody"] = Field(
        "loopback", description="who is served while there are no API keys: loopback, anyone or nobody"
    )
    adapts_per_minute: int | None = Field(None, ge=1, description="most adapts of one tenant in a minute; unset: any")
    max_models: int = Field(0, ge=0, description="most adapted models of one tenant; 0: any")
    max_bytes: int = Field(0, ge=0, description="most bytes that one tenant may have in the store; 0: any")
    max_waiting: int = Field(1000, ge=1, description="orders of one tenant and kind that wait; more are refused")
    max_accepting: int = Field(
        128, ge=1, description="support sets that one API process checks at the same time; more are refused unread"
    )
    log_format: LogFormat = Field("text", description="how logs are written: text or json")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="port on which a worker of its own tells its metrics; unset: none"
    )
    wait: float = Field(10, ge=0, le=60, description="seconds that POST /adapt waits before it answers 202")
    max_ways: int = Field(_LIMITS.max_ways, ge=2, description="most classes in a support set")
    max_examples: int = Field(_LIMITS.max_examples, ge=1, description="most examples in a support set")
    max_queries: int = Field(_LIMITS.max_queries, ge=1, description="most inputs in one POST /predict")
    max_pixels: int = Field(_LIMITS.max_pixels, ge=1, description="most pixels of one image")
    max_total_pixels: int = Field(_LIMITS.max_total_pixels, ge=1, description="most pixels in one request")
    max_seconds: int = Field(_LIMITS.max_seconds, ge=1, description="longest recording, in seconds")
    max_samples: int = Field(_LIMITS.max_samples, ge=1, description="most samples of one recording, all channels")
    max_total_samples: int = Field(_LIMITS.max_total_samples, ge=1, description="most samples in one request")
    max_steps: int = Field(_LIMITS.max_steps, ge=1, description="most steps of a series")
    max_channels: int = Field(_LIMITS.max_channels, ge=1, description="most channels of a series")
    max_columns: int = Field(_LIMITS.max_columns, ge=1, description="most columns of a table row")
    max_features: int = Field(_LIMITS.max_features, ge=1, description="most numbers that a table row is turned into")
    max_body_bytes: int = Field(_LIMITS.max_body_bytes, ge=1, description="most bytes of a request")
    max_dataset_bytes: int = Field(_LIMITS.max_dataset_bytes, ge=1, description="most bytes of an uploaded dataset")
    max_dataset_unpacked_bytes: int = Field(
        _LIMITS.max_dataset_unpacked_bytes, ge=1, description="most bytes of a dataset once unpacked"
    )
    max_dataset_members: int = Field(_LIMITS.max_dataset_members, ge=1, description="most files in a dataset's archive")
    max_dataset_ratio: int = Field(
        _LIMITS.max_dataset_ratio, ge=1, description="most by which a large file in an archive may grow when unpacked"
    )

    @field_validator("home", mode="after")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    def model_post_init(self, _: Any) -> None:
        """Fill in what lies in the home."""
        if not self.store:
            self.store = str(self.home / "store")
        self.datasets = self.home / "datasets" if self.datasets == Path() else self.datasets.expanduser().absolute()

    def limits(self) -> Limits:
        """How much one request may ask for."""
        return Limits(**{name: getattr(self, name) for name in vars(_LIMITS)})

    def quota(self) -> Quota:
        """How much each tenant may have that has no quota of its own."""
        return Quota(models=self.max_models, bytes=self.max_bytes, adapts_per_minute=self.adapts_per_minute)

    def environment(self) -> dict[str, str]:
        """These settings as the variables that another process reads them from."""
        return {variable(name): str(value) for name, value in self if value is not None}


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def documentation() -> Iterator[tuple[str, str, str]]:
    """Variable, default and description of every setting."""
    for name, field in Settings.model_fields.items():
        plain = field.default not in (None, "", Path())
        yield variable(name), str(field.default) if plain else "", field.description or ""

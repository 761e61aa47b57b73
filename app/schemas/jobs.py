"""Orders, and how far they are."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.problems import Failure


class JobView(BaseModel):
    """An order and how far it is."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(examples=["job_0193a5b0c7d27a4e8f00112233445566"])
    kind: Literal["adapt", "meta-train", "evaluate", "readapt"] = Field(examples=["meta-train"])
    status: Literal["queued", "running", "ready", "failed", "cancelled", "deleted"] = Field(examples=["running"])
    progress: dict[str, Any] | None = Field(
        None,
        examples=[
            {"fraction": 0.25, "step": 500, "total_steps": 2000, "episodes": 500, "loss": 0.71, "eta_seconds": 90}
        ],
    )
    created_at: str | None = Field(None, examples=["2026-11-21T09:30:00.123Z"])
    request_id: str | None = Field(
        None,
        examples=["5f2b9d6a0c4e4f7e9d1b2a3c4d5e6f70"],
        description="of the request that ordered it; the logs name it",
    )
    error: Failure | None = None
    links: dict[str, str] = Field(examples=[{"self": "/jobs/job_…"}])

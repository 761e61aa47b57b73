"""Base models and their versions."""

from typing import Any

from pydantic import BaseModel, Field

from app.schemas.inputs import Strict


class BaseView(BaseModel):
    """A version of a base model."""

    reference: str = Field(examples=["omniglot@1"])
    name: str = Field(examples=["omniglot"])
    version: int = Field(examples=[1])
    versions: list[int] = Field(examples=[[1]])
    default: int = Field(examples=[1], description="the version that the bare name means")
    summary: str = Field(examples=["Handwritten characters and other line drawings."])
    modality: str = Field(examples=["image"])
    preprocessing: dict[str, Any] = Field(examples=[{"size": 28, "channels": 1, "framing": "drawing"}])
    input_example: Any = Field(examples=["data:image/png;base64,…"])
    backbone: str = Field(examples=["conv4"])
    learners: dict[str, str] = Field(examples=[{"classification": "protonet"}], description="its own, by kind of task")
    scores: dict[str, Any]
    provenance: dict[str, Any]
    links: dict[str, str] = Field(examples=[{"self": "/bases/omniglot"}])


class VersionView(BaseModel):
    """How one version of a base model was made, and how good it is."""

    version: int = Field(examples=[2])
    default: bool = Field(examples=[True])
    scores: dict[str, Any] = Field(examples=[{"validation": 0.94}])
    dataset: str | None = Field(examples=["omniglot"])
    dataset_params: dict[str, Any] = Field(examples=[{}])
    seed: int | None = Field(examples=[0])
    commit: str | None = Field(examples=["69f9560"], description="of the program, where it ran from a checkout")
    device: str | None = Field(examples=["cpu: AMD EPYC 7B13"])
    seconds: float | None = Field(examples=[1830.5])
    created_at: str | None = Field(examples=["2026-11-21T09:30:00+00:00"])
    job: str | None = Field(examples=["job_0193a5b0c7d27a4e8f00112233445566"])


class BaseDetails(BaseView):
    """A version of a base model, and the history of all its versions."""

    history: list[VersionView]


class BasePatch(Strict):
    """What can be changed of a base model."""

    default: int | None = Field(
        ge=1, examples=[1], description="version that the bare name means from now on; null: always the newest"
    )


class ReadaptBaseBody(Strict):
    """Where to move the adapted models of a base model."""

    version: int | None = Field(None, ge=1, examples=[2], description="the default version if not given")

"""Adapted models and their versions."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.inputs import Strict
from app.schemas.problems import Failure


class ModelView(BaseModel):
    """An adapted model, or the order for one."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(examples=["mdl_0193a5b0c7d27a4e8f00112233445566"])
    status: Literal["queued", "running", "ready", "failed", "cancelled"] = Field(examples=["ready"])
    base: str = Field(examples=["omniglot@1"])
    learner: str = Field(examples=["protonet"])
    params: dict[str, Any] = Field(examples=[{"scale": 1.0}])
    task: Literal["classification", "regression"] = Field(examples=["classification"])
    modality: str = Field(examples=["image"])
    classes: list[str | int | bool] | None = Field(examples=[["a", "b"]])
    shots: dict[str, int] = Field(examples=[{"a": 5, "b": 5}])
    unlabelled: int = Field(0, examples=[0], description="how many unlabelled inputs it learned from as well")
    scores: dict[str, Any] | None = Field(
        None,
        description="what leaving one example out says: accuracy and ECE, or RMSE and R²; NLL in nats; 95 % intervals",
        examples=[
            {
                "loo_accuracy": 0.97,
                "loo_ece": 0.03,
                "loo_nll": 0.11,
                "loo_examples": 30,
                "loo_intervals": {"loo_accuracy": [0.83, 0.99], "loo_ece": [0.02, 0.08], "loo_nll": [0.05, 0.2]},
            }
        ],
    )
    name: str | None = Field(None, examples=["signatures of branch 7"])
    metadata: dict[str, Any] = Field(default_factory=dict, examples=[{"customer": 7}])
    keep_support: bool = Field(True, description="whether the support set is kept beside the model")
    expires_at: str | None = Field(
        None, examples=["2026-11-22T09:30:00.123Z"], description="when it is deleted by itself; null: never"
    )
    parent: str | None = Field(
        None, examples=["mdl_0193a5b0c7d27a4e8f00112233445565"], description="model whose next version it is"
    )
    version: int = Field(1, examples=[2], description="one more than its parent's; 1 where there is none")
    lineage: str | None = Field(
        None, examples=["mdl_0193a5b0c7d27a4e8f00112233445565"], description="the first of the versions"
    )
    change: dict[str, int] | None = Field(
        None, examples=[{"added": 1}], description="how its support set differs from its parent's"
    )
    described_by: str | None = Field(
        None,
        examples=["mdl_0193a5b0c7d27a4e8f00112233445565"],
        description="model whose support set described the inputs (columns, categories, means, lengths); own if null",
    )
    created_at: str = Field(examples=["2026-11-21T09:30:00.123Z"])
    seconds: float | None = Field(None, examples=[0.004])
    error: Failure | None = None
    links: dict[str, str] = Field(examples=[{"self": "/models/mdl_…", "predict": "/predict", "job": "/jobs/mdl_…"}])


class ModelList(BaseModel):
    """Adapted models, newest first."""

    data: list[ModelView]
    has_more: bool = Field(examples=[False])
    next_cursor: str | None = Field(examples=[None], description="send as `cursor` to get the next page")


class Version(BaseModel):
    """One of the models that came of a first one by changes of its support set."""

    id: str = Field(examples=["mdl_0193a5b0c7d27a4e8f00112233445566"])
    status: Literal["queued", "running", "ready", "failed", "cancelled", "deleted"] = Field(examples=["ready"])
    version: int | None = Field(None, examples=[2])
    parent: str | None = Field(None, examples=["mdl_0193a5b0c7d27a4e8f00112233445565"])
    children: list[str] = Field(examples=[["mdl_0193a5b0c7d27a4e8f00112233445567"]])
    change: dict[str, int] | None = Field(None, examples=[{"added": 1}])
    base: str | None = Field(None, examples=["omniglot@1"])
    learner: str | None = Field(None, examples=["protonet"])
    shots: dict[str, int] | None = Field(None, examples=[{"a": 5, "b": 6}])
    scores: dict[str, Any] | None = Field(None, examples=[{"loo_accuracy": 0.97}])
    created_at: str | None = Field(None, examples=["2026-11-21T09:30:00.123Z"])


class Versions(BaseModel):
    """All versions of a model, oldest first."""

    lineage: str = Field(examples=["mdl_0193a5b0c7d27a4e8f00112233445565"], description="the first of them")
    data: list[Version]


class ReadaptModelBody(Strict):
    """Where to move an adapted model."""

    base: str | None = Field(
        None,
        examples=["omniglot@2"],
        description="base model, `name@version`; the default version of its own if not given",
    )

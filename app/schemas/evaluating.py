"""Grading of adapted models and base models."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.inputs import Inputs, Strict


class EvaluateBody(Strict):
    """What to grade, and on what: labelled queries, or a dataset."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "mdl_0193a5b0c7d27a4e8f00112233445566",
                    "inputs": [{"length": 1.5, "colour": "white"}, {"length": 4.9, "colour": "blue"}],
                    "labels": ["small", "large"],
                },
                {"base": "omniglot", "dataset": "omniglot", "ways": 20, "shots": 1, "tasks": 1000},
            ]
        },
    )

    model: str | None = Field(None, description="id of an adapted model")
    base: str | None = Field(None, description="or a base model, `name` or `name@version`")
    inputs: Inputs | None = None
    labels: list[Any] | None = Field(None, max_length=100_000)
    dataset: str | dict[str, Any] | None = Field(
        None, description='name of a dataset of the service, or `{"id": "dst_…"}` of an uploaded one'
    )
    dataset_params: dict[str, Any] = Field(default_factory=dict)
    split: Literal["train", "validation", "test"] = Field("test", description="part of the dataset (base models)")
    ways: int = Field(5, description="classes of a task (base models)")
    shots: int = Field(1, description="support examples per class, or points of a regression task (base models)")
    queries: int = Field(15, description="queries per class, or points of a regression task (base models)")
    tasks: int = Field(600, description="how many tasks (base models)")
    seed: int = Field(0, description="which tasks (base models)")
    learner: str | None = Field(None, description="another learner on the embeddings of the base model")
    params: dict[str, Any] = Field(default_factory=dict, description="parameters of the learner")


class Evaluated(BaseModel):
    """The scores, or the job that will have them."""

    model_config = ConfigDict(extra="allow")

    scores: dict[str, Any] | None = Field(
        None, examples=[{"examples": 40, "accuracy": 0.95, "interval": 0.07, "nll": 0.2, "ece": 0.04}]
    )
    id: str | None = Field(None, examples=["job_0193a5b0c7d27a4e8f00112233445566"])
    status: str | None = Field(None, examples=["queued"])
    links: dict[str, str] | None = Field(None, examples=[{"self": "/jobs/job_…"}])

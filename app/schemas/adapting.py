"""Support sets: what models are adapted to."""

import json
from typing import Any, Literal

import pydantic
from pydantic import ConfigDict, Field

from app.schemas.inputs import Inputs, Strict


class SupportBody(Strict):
    """Labelled examples to learn from."""

    inputs: Inputs
    labels: list[Any] = Field(
        max_length=100_000,
        description="Strings, integers or booleans are classes; floats are regression targets, a list of them several.",
    )
    unlabelled: Inputs = Field(
        default_factory=list,
        description="more inputs of the task, without labels, for learners with `uses_unlabelled`; as `inputs`",
    )


class AdaptBody(Strict):
    """A support set, and what to adapt to it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "base": "table",
                    "support": {
                        "inputs": [
                            {"length": 1.4, "colour": "white"},
                            {"length": 1.3, "colour": "white"},
                            {"length": 4.7, "colour": "blue"},
                            {"length": 4.5, "colour": "white"},
                        ],
                        "labels": ["small", "small", "large", "large"],
                    },
                    "name": "flowers",
                }
            ]
        },
    )

    base: str = Field(description="base model, `name` or `name@version`; see GET /bases", examples=["omniglot"])
    support: SupportBody
    learner: str | None = Field(None, description="a learner of GET /learners; `auto` if not given, which chooses one")
    params: dict[str, Any] = Field(default_factory=dict, description="parameters of the learner")
    task: Literal["classification", "regression"] | None = Field(
        None, description="what integer labels mean; decided by the labels if not given"
    )
    name: str | None = Field(None, max_length=200, description="your own name for the adapted model")
    metadata: dict[str, Any] = Field(default_factory=dict, description="anything you want kept with it")
    keep_support: bool = Field(
        True, description="false: the support set is removed once the model is ready; it can then not be adapted anew"
    )

    ttl_seconds: int | None = Field(
        None, ge=1, le=10**9, description="seconds after which the model and its support set are deleted; never if null"
    )

    dedupe: bool = Field(
        False,
        description="true: answer the model already made so of the same examples and settings, if it is still there",
    )

    @pydantic.model_validator(mode="after")
    def _one_or_the_other(self) -> "AdaptBody":
        if self.dedupe and self.ttl_seconds is not None:
            raise ValueError(
                "dedupe and ttl_seconds exclude each other: a model of somebody else's end would be answered"
            )
        return self

    @pydantic.field_validator("metadata")
    @classmethod
    def _small(cls, value: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(value, allow_nan=False)) > 16_000:
            raise ValueError("metadata is at most 16,000 characters of JSON")
        return value


class ExamplesBody(Strict):
    """Labelled examples for a model to learn too."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"inputs": [{"length": 3.1, "colour": "red"}], "labels": ["middling"]}]},
    )

    inputs: Inputs
    labels: list[Any] = Field(max_length=100_000, description="as in `/adapt`, of the same kind; new classes too")
    learner: str | None = Field(
        None, description="another learner, or `auto` to choose anew; as the model before was asked for if not given"
    )

"""The learners that can be named."""

from typing import Any

from pydantic import BaseModel, Field


class LearnerView(BaseModel):
    """A learner and its parameters."""

    name: str = Field(examples=["ridge"])
    summary: str = Field(examples=["Ridge regression on embeddings."])
    tasks: list[str] = Field(examples=[["classification", "regression"]])
    needs_meta_training: bool = Field(
        examples=[False],
        description="true: only with a base model trained with it; false: with any that has embeddings",
    )
    adapts_body: bool = Field(
        examples=[False],
        description="true: adapting changes the backbone too, so that one with running batch statistics will not do",
    )
    uses_unlabelled: bool = Field(examples=[False], description="whether it takes `support.unlabelled`")
    size_limits: str = Field(examples=[""], description="limits on ways and shots; empty: any number, balanced or not")
    meta_gradient: str = Field(
        examples=["exact"], description="of what slope meta-training goes: `exact`, or what is left out, or why none"
    )
    parameters: dict[str, Any] = Field(description="JSON Schema; `x-when: meta-train` marks those fixed by training")

"""What to label next."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.inputs import Inputs, Strict


class SuggestBody(Strict):
    """Unlabelled inputs, and how many of them shall be labelled."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"inputs": [{"length": 1.5, "colour": "white"}, {"length": 3.1, "colour": "blue"}], "count": 1}
            ]
        },
    )

    inputs: Inputs
    count: int = Field(10, ge=1, le=200, description="how many to suggest")


class Suggested(BaseModel):
    """One input worth a label."""

    index: int = Field(examples=[1], description="its position in `inputs`")
    score: float = Field(
        examples=[0.31],
        description="share of the variance of all answers that its label is expected to take away, given the support "
        "set and the suggestions before it; by `margin`: one less the margin, or the variance",
    )


class Suggestions(BaseModel):
    """The inputs to label next, best first."""

    model: str = Field(examples=["mdl_0193a5b0c7d27a4e8f00112233445566"])
    method: Literal["variance reduction", "uncertainty-weighted variance reduction", "margin"] = Field(
        examples=["variance reduction"]
    )
    suggestions: list[Suggested]

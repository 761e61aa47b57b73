"""Questions to an adapted model, and its answers."""

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.inputs import Inputs, Strict


class PredictBody(Strict):
    """Inputs for an adapted model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "mdl_0193a5b0c7d27a4e8f00112233445566",
                    "inputs": [{"length": 1.5, "colour": "white"}, {"length": 4.9, "colour": "blue"}],
                }
            ]
        },
    )

    model: str = Field(description="id of an adapted model, or an alias")
    inputs: Inputs
    key: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="with an alias of several models: the same key (a user, a session) is answered by the same one",
    )
    coverage: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="answer a set of classes, or an interval, that holds the truth this often (conformal)",
    )
    reject: float | None = Field(
        None,
        gt=0,
        lt=1,
        description='label as "unknown" what is stranger than all but this share of the support\'s own classes',
    )
    explain: bool = Field(False, description="add `because`: the nearest support examples, and the share of each")


class Neighbour(BaseModel):
    """A support example, and its share in the answer; the shares of all examples sum to 1."""

    example: int = Field(examples=[3], description="index in the support set")
    label: str | int | bool | float | list[float] = Field(examples=["small"])
    share: float = Field(examples=[0.61])


class ClassAnswer(BaseModel):
    """The most probable class, and the probability of every class."""

    label: str | int | bool = Field(examples=["small"])
    probability: float = Field(examples=[0.98])
    probabilities: dict[str, float] = Field(examples=[{"small": 0.98, "large": 0.02}])
    set: list[str | int | bool] | None = Field(
        None, examples=[["small"]], description="with `coverage`: the classes that hold the true one so often"
    )

    unknown: float | None = Field(None, examples=[0.03], description="probability of being of none of the classes")
    rejected: bool | None = Field(None, examples=[False], description="with `reject`: whether the label is `unknown`")
    because: list[Neighbour] | None = Field(None, description="with `explain`: the nearest support examples")


class TargetAnswer(BaseModel):
    """Mean and standard deviation of a regression target, and the interval that holds it nine times in ten.

    With several targets each is a list.
    """

    mean: float | list[float] = Field(examples=[1.2])
    std: float | list[float] = Field(examples=[0.1])
    interval: list[float] | list[list[float]] = Field(examples=[[1.04, 1.36]])
    because: list[Neighbour] | None = Field(None, description="with `explain`: the nearest support examples")


class Predictions(BaseModel):
    """One answer for each input, in order."""

    model: str = Field(examples=["mdl_0193a5b0c7d27a4e8f00112233445566"], description="the one that answered")
    alias: str | None = Field(None, examples=["tickets"], description="by which it was asked, if by one")
    predictions: list[ClassAnswer] | list[TargetAnswer]

"""What every body of inputs has in common."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from meta_core.config import Typed

MOST_INPUTS = 100_000


class Strict(Typed):
    """A body in which an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


class ArrayInputs(Strict):
    """All inputs as one dense array."""

    npy: str = Field(
        description="base64 of a .npy file; its first axis counts the examples", examples=["k05VTVBZAQB2..."]
    )


Inputs = Annotated[
    Annotated[list[Any], Field(max_length=MOST_INPUTS)] | ArrayInputs,
    Field(
        description="One entry an example, as the base model's modality wants them: `image` a base64 string, data URL "
        "or nested list; `table` an object column → value; `vector` a list of numbers. Or all as one array: "
        '`{"npy": "<base64>"}`.'
    ),
]

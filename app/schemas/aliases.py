"""Names that stand for adapted models."""

from pydantic import BaseModel, ConfigDict, Field

from app.schemas.inputs import Strict
from meta_core.errors import InvalidRequest


class AliasBody(Strict):
    """What an alias stands for: one model, or several that share its questions by weight."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": "mdl_0193a5b0c7d27a4e8f00112233445566"},
                {
                    "models": {
                        "mdl_0193a5b0c7d27a4e8f00112233445566": 9,
                        "mdl_0193a5b0c7d27a4e8f00112233445567": 1,
                    }
                },
            ]
        },
    )

    model: str | None = Field(None, description="id of an adapted model")
    models: dict[str, float] | None = Field(None, description="or ids and their weights, which need not add up to one")

    def weights(self) -> dict[str, float]:
        """Models and their weights. Raises `InvalidRequest` unless exactly one of both was sent."""
        if (self.model is None) == (self.models is None):
            raise InvalidRequest("send either `model`, an id, or `models`, an object of id → weight")
        return {self.model: 1.0} if self.model is not None else dict(self.models or {})


class AliasView(BaseModel):
    """A name, and the models that share its questions."""

    name: str = Field(examples=["tickets"])
    models: dict[str, float] = Field(
        examples=[{"mdl_0193a5b0c7d27a4e8f00112233445566": 1.0}], description="the share of each in the questions"
    )
    updated_at: str = Field(examples=["2026-11-21T09:30:00.123Z"])
    links: dict[str, str] = Field(examples=[{"self": "/aliases/tickets"}])

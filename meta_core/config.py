"""Settings of a learner, backbone, modality or dataset: validated once, and their own JSON Schema."""

import typing
from collections.abc import Mapping
from typing import Any, Self

import pydantic
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError, ValidationError

from meta_core.errors import InvalidParameter, shown

MADE_WITH_THE_WEIGHTS: dict[str, Any] = {"x-when": "meta-train"}
"""Put into `json_schema_extra` of a field that shapes the weights: it cannot be changed at `/adapt`."""


class Typed(pydantic.BaseModel):
    """A model in which true and false are no numbers, and numbers are neither; pydantic would take 1 for both.

    An unknown field, where it forbids them, is an error that lists the known ones.
    """

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _naming_the_fields(cls, value: Any, read: pydantic.ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return read(value)
        except pydantic.ValidationError as error:
            raise ValidationError.from_exception_data(
                cls.__name__, [cls._told(one) for one in error.errors()]
            ) from None

    @classmethod
    def _told(cls, found: ErrorDetails) -> InitErrorDetails:
        kind, text, place = found["type"], found["msg"], found["loc"]
        if kind == "extra_forbidden" and len(place) == 1:
            text = f"there is no such field; there are: {', '.join(cls.model_fields) or 'none'}"
        elif kind in ("model_type", "model_attributes_type"):  # which else name classes of ours
            text = "Input should be an object"
        return InitErrorDetails(type=PydanticCustomError(kind, text), loc=place, input=found["input"])

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _of_its_kind(cls, value: Any, field: pydantic.ValidationInfo) -> Any:
        if isinstance(value, bool | int | float) and field.field_name is not None:
            annotation = cls.model_fields[field.field_name].annotation
            kinds = {annotation, *typing.get_args(annotation)}
            numbers = bool(kinds & {int, float})
            if isinstance(value, bool) and numbers and bool not in kinds:
                raise PydanticCustomError("number_type", "Input should be a number")
            if not isinstance(value, bool) and bool in kinds and not numbers:
                raise PydanticCustomError("bool_type", "Input should be true or false")
        return value


class Config(Typed):
    """Immutable settings; an unknown name is an error that lists the known ones."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, values: Mapping[str, Any], owner: str) -> Self:
        """The settings in `values`. Raises `InvalidParameter` in the name of `owner`."""
        unknown = sorted(set(values) - set(cls.model_fields))
        if unknown:
            known = ", ".join(cls.model_fields) or "none"
            raise InvalidParameter(f"{owner} has no parameter {shown(unknown[0])}; it has: {known}", unknown[0])
        try:
            return cls.model_validate(dict(values))
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = ".".join(str(part) for part in first["loc"])
            raise InvalidParameter(f"{owner}.{name}: {first['msg']}; found {shown(first['input'])}", name) from None

    def changed(self, values: Mapping[str, Any], owner: str) -> Self:
        """These settings with some changed at adapt time. Raises `InvalidParameter` for those that shape weights."""
        for name in values:
            field = type(self).model_fields.get(name)
            if field is not None and field.json_schema_extra == MADE_WITH_THE_WEIGHTS:
                raise InvalidParameter(f"{owner}.{name} is fixed when the base model is meta-trained", name)
        return self.parse({**self.model_dump(), **values}, owner)

"""Request bodies in either of their forms, JSON or multipart, as the same value."""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeVar

import pydantic
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import from_json
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from app.dense_json import read_dense
from app.schemas.adapting import AdaptBody, ExamplesBody
from app.schemas.inputs import MOST_INPUTS, ArrayInputs
from app.schemas.predicting import PredictBody
from meta_core.errors import InvalidRequest
from meta_core.npy import read_npy

UNLABELLED = "unlabelled"
"""The form field whose files have no label."""

AT_ONCE = 64 * 1024
"""Bytes of JSON that are read sooner than another thread would be woken."""

Body = TypeVar("Body", bound=pydantic.BaseModel)


def plain_inputs(inputs: list[Any] | ArrayInputs) -> Sequence[Any]:
    """Inputs one by one, whether they came as a list or as an array."""
    if not isinstance(inputs, ArrayInputs):
        return inputs  # as a list; or as an array already, where many numbers came as JSON
    try:
        content = base64.b64decode(inputs.npy, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("npy is not valid base64") from None
    array: Sequence[Any] = read_npy(content)  # type: ignore[assignment]
    return array


async def adapt_body(request: Request) -> AdaptBody:
    """The body of /adapt; in a form, each file is an example and its field's name the label, or `unlabelled`."""
    if not _is_form(request):
        return await _json(request, AdaptBody)
    fields, files = await _form(request)
    for name in ("params", "metadata"):
        if name in fields:
            fields[name] = _parsed(name, fields[name])
    labelled = [(label, content) for label, content in files if label != UNLABELLED]
    support = {
        "inputs": [content for _, content in labelled],
        "labels": [label for label, _ in labelled],
        "unlabelled": [content for label, content in files if label == UNLABELLED],
    }
    return validated(AdaptBody, {**fields, "support": support})


async def examples_body(request: Request) -> ExamplesBody:
    """The body of /models/{id}/examples; in a form, each file is an example and its field's name the label."""
    if not _is_form(request):
        return await _json(request, ExamplesBody)
    fields, files = await _form(request)
    labels, inputs = [label for label, _ in files], [content for _, content in files]
    return validated(ExamplesBody, {**fields, "inputs": inputs, "labels": labels})


async def predict_body(request: Request) -> PredictBody:
    """The body of /predict; in a form, each file is an input."""
    if not _is_form(request):
        return await _json(request, PredictBody)
    fields, files = await _form(request)
    return validated(PredictBody, {**fields, "inputs": [content for _, content in files]})


def _is_form(request: Request) -> bool:
    kind = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if kind not in ("application/json", "multipart/form-data"):
        raise HTTPException(415, f"send application/json or multipart/form-data; found {kind[:80]}")
    return kind == "multipart/form-data"


async def _json(request: Request, model: type[Body]) -> Body:
    return await json_body(await request.body(), model)


async def json_body(content: bytes, model: type[Body]) -> Body:
    """A body of JSON. Raises `RequestValidationError`."""
    try:
        if len(content) <= AT_ONCE:
            return model.model_validate_json(content)
        return await asyncio.to_thread(_large, content, model)
    except pydantic.ValidationError as error:
        raise _body_error(error) from None


def _large(body: bytes, model: type[Body]) -> Body:
    dense = read_dense(body, ("support", "inputs") if model is AdaptBody else ("inputs",))
    if dense is None or len(dense[1]) > MOST_INPUTS:
        return model.model_validate_json(body)
    read = model.model_validate(dense[0])
    holder: Any = read.support if isinstance(read, AdaptBody) else read
    holder.inputs = dense[1]
    return read


async def _form(request: Request) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    fields: dict[str, Any] = {}
    files: list[tuple[str, bytes]] = []
    async with request.form(max_files=20_000, max_fields=100) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files.append((name, await value.read()))
            else:
                fields[name] = value
    return fields, files


def _parsed(name: str, text: str) -> Any:
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"the form field {name} is not JSON: {error}") from None


def validated(model: type[Body], values: dict[str, Any]) -> Body:
    """The fields of a form as a body. Raises `RequestValidationError`."""
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        raise _body_error(error) from None


def _body_error(error: pydantic.ValidationError) -> RequestValidationError:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in found])

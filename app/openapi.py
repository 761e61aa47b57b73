"""Pieces of the OpenAPI document that are not derived from a signature."""

from typing import Any

from pydantic import BaseModel

from app.schemas.problems import Problem

_PROBLEM = {"model": Problem, "content": {"application/problem+json": {}}}

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {**_PROBLEM, "description": description}
    for status, description in {
        401: "No valid API key",
        403: "The API key lacks the scope, or the tenant has as much as it may",
        404: "No such thing",
        409: "Not ready yet, or failed",
        410: "Deleted",
        413: "The body is too large",
        415: "Neither JSON nor multipart",
        422: "The request cannot be carried out as it stands",
        429: "More than the tenant may ask for now",
        502: "What was to be fetched cannot be had",
        503: "A part that is needed does not answer, or too much is waiting",
    }.items()
}


def only(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route can answer with."""
    return {status: PROBLEMS[status] for status in statuses}


def links_to(**operations: str) -> dict[str, Any]:
    """OpenAPI links from the `id` in an answer to operations that take it, by name: `METHOD /path` of each."""
    return {
        name: {"operationRef": _reference(asked), "parameters": {"id": "$response.body#/id"}}
        for name, asked in operations.items()
    }


def _reference(operation: str) -> str:
    method, path = operation.lower().split()
    return f"#/paths/{path.replace('~', '~0').replace('/', '~1')}/{method}"


def body_of(model: type[BaseModel], form: dict[str, Any]) -> dict[str, Any]:
    """The request body of a route that reads it itself: JSON of a model, or a form of files."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _inlined(schema, definitions)},
                "multipart/form-data": {"schema": form},
            },
        }
    }


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema with every reference replaced by what it refers to."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items()}

"""The OpenAPI document can be used as a manual."""

from typing import Any

from tests.e2e.service import Service


def test_every_operation_is_described_and_says_how_it_fails(service: Service) -> None:
    document = service.client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation.get("description"), where
            assert operation.get("tags"), where
            good = [status for status in operation["responses"] if status.startswith("2")]
            assert good, where
            if "{" in path:
                assert "404" in operation["responses"], where


def test_every_schema_is_described_and_every_field_shows_what_it_is(service: Service) -> None:
    schemas = service.client.get("/openapi.json").json()["components"]["schemas"]
    for name, schema in schemas.items():
        if name.startswith(("HTTPValidation", "ValidationError")):
            continue
        assert schema.get("description"), name
        assert _has_example(schema), name


def test_the_bodies_of_adapt_and_predict_can_be_sent_as_the_manual_shows(service: Service) -> None:
    paths = service.client.get("/openapi.json").json()["paths"]
    example = _json_schema(paths["/adapt"])["examples"][0]
    model = service.adapt(example).json()
    question = {**_json_schema(paths["/predict"])["examples"][0], "model": model["id"]}
    assert service.client.post("/predict", json=question).status_code == 200


def test_the_manual_is_served(service: Service) -> None:
    assert "swagger" in service.client.get("/docs").text.lower()


def _json_schema(path: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = path["post"]["requestBody"]["content"]["application/json"]["schema"]
    return schema


def _has_example(schema: dict[str, Any]) -> bool:
    if "examples" in schema:
        return True
    fields = schema.get("properties", {}).values()
    return bool(fields) and all("examples" in field or "default" in field or _refers(field) for field in fields)


def _refers(field: dict[str, Any]) -> bool:
    """Whether the field is described elsewhere, or open by nature."""
    return "$ref" in str(field) or field.get("additionalProperties") is True

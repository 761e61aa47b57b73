"""What went wrong, and whether the service is well."""

from typing import Literal

from pydantic import BaseModel, Field


class Failure(BaseModel):
    """Why an order has no result."""

    code: str = Field(examples=["internal"])
    detail: str = Field(examples=["killed its worker 3 times"])


class Problem(BaseModel):
    """An error (RFC 9457): what was found, what was needed, and where."""

    type: str = Field(examples=["urn:shotput:problem:invalid_example"])
    title: str = Field(examples=["Invalid example"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["example 3: the string is not valid base64"])
    code: str = Field(examples=["invalid_example"])
    instance: str = Field(examples=["/adapt"])
    request_id: str = Field(examples=["5f2b9d6a0c4e4f7e9d1b2a3c4d5e6f70"])
    errors: list[dict[str, str]] = Field(
        default_factory=list, examples=[[{"pointer": "/support/inputs/3", "detail": "the string is not valid base64"}]]
    )


class Health(BaseModel):
    """Whether the parts that are needed answer."""

    status: Literal["ok", "unavailable"] = Field(examples=["ok"])
    checks: dict[str, str] = Field(examples=[{"redis": "ok", "store": "ok", "worker": "ok: 1 alive"}])

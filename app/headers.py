"""Single headers of a connection, looked up without making an object of them all."""

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of a name in lower case; None where it was not sent."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)

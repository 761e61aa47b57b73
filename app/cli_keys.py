"""`shotput keys`: API keys of the store that the settings name."""

from collections.abc import Iterator
from typing import Annotated

import typer
from typer import Argument, Option

from app import keys
from app.caller import SCOPES
from app.options import JsonOption
from app.output import print_json, print_rows
from app.settings import Settings
from meta_core.errors import InvalidParameter
from meta_core.ids import DEFAULT_TENANT
from meta_core.store import Store

commands = typer.Typer(help="Create, list, revoke and rotate API keys.", no_args_is_help=True)
DAY = 24 * 3600


@commands.command()
def create(
    tenant: Annotated[str, Argument(help="Whose it is; tenants see nothing of each other.")] = DEFAULT_TENANT,
    *,
    scope: Annotated[list[str] | None, Option(help=f"One of {', '.join(sorted(SCOPES))}; may be repeated.")] = None,
    name: Annotated[str | None, Option(help="What it is for.")] = None,
    days: Annotated[float | None, Option(help="How long it is good for.", min=0)] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it, this once; from then on the service asks for one."""
    seconds = None if days is None else int(days * DAY)
    key, text = keys.create(_store(), tenant, scope or ["read", "predict", "adapt"], name, seconds)
    _tell(key, text, as_json=as_json)


@commands.command("list")
def list_keys(*, as_json: JsonOption = False) -> None:
    """List all keys, without their secrets."""
    rows = [_row(key) for key in keys.listed(_store())]
    columns = ("id", "tenant", "scopes", "status", "name", "created_at", "expires_at")
    return print_json(rows) if as_json else print_rows(rows, columns)


@commands.command()
def revoke(ids: Annotated[list[str], Argument(help="Ids of keys, or the keys themselves.")]) -> None:
    """End keys for good, within seconds in every process."""
    for id in _ids(ids):
        print(f"{keys.revoke(_store(), id).id} is revoked")


@commands.command()
def rotate(
    id: Annotated[str, Argument(help="Id of a key, or the key itself.")],
    *,
    grace: Annotated[int, Option(help="Seconds for which the old one is still good.", min=0)] = 0,
    as_json: JsonOption = False,
) -> None:
    """Make a key in the place of another."""
    (old,) = _ids([id])
    key, text = keys.rotate(_store(), old, grace)
    _tell(key, text, as_json=as_json)


def _tell(key: keys.Key, text: str, *, as_json: bool) -> None:
    if as_json:
        return print_json({**_row(key), "key": text})
    return print(f"{text}\n{key.id}: tenant {key.tenant}, scopes {', '.join(key.scopes)}; it is not shown again")


def _row(key: keys.Key) -> dict[str, object]:
    kept = {name: value for name, value in vars(key).items() if name != "hash"}
    return {**kept, "status": key.status()}


def _ids(texts: list[str]) -> Iterator[str]:
    for text in texts:
        found = keys.TEXT.fullmatch(text)
        if text.startswith("sk_") and not found:
            raise InvalidParameter("that is no API key; give its id, see `shotput keys list`")
        yield found[1] if found else text


def _store() -> Store:
    return Store(Settings().store)

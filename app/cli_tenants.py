"""`shotput tenants`: how much each tenant of the store that the settings name may have."""

from typing import Annotated, Any

import typer
from typer import Argument, Option

from app import quotas
from app.options import JsonOption
from app.output import print_json, print_record, print_rows
from app.quotas import NAMES
from app.settings import Settings
from meta_core.errors import InvalidParameter
from meta_core.store import Store
from meta_core.usage import measured

commands = typer.Typer(help="Set and show the quotas of single tenants.", no_args_is_help=True)
TenantArgument = Annotated[str, Argument(help="Whose quotas; see `shotput keys list`.")]


@commands.command("set")
def set_(
    tenant: TenantArgument,
    *,
    models: Annotated[int | None, Option(help="Most adapted models; 0: any.", min=0)] = None,
    bytes: Annotated[int | None, Option(help="Most bytes in the store; 0: any.", min=0)] = None,
    adapts_per_minute: Annotated[int | None, Option(help="Most adapts in a minute; 0: any.", min=0)] = None,
    as_json: JsonOption = False,
) -> None:
    """Give a tenant quotas of its own; those that are not named stay as they are."""
    asked = {"models": models, "bytes": bytes, "adapts_per_minute": adapts_per_minute}
    changes = {name: value for name, value in asked.items() if value is not None}
    if not changes:
        raise InvalidParameter("name a quota: --models, --bytes or --adapts-per-minute")
    quotas.override(_store(), tenant, changes)
    _tell(tenant, as_json=as_json)


@commands.command()
def reset(tenant: TenantArgument) -> None:
    """Let the quotas of the service hold for a tenant again."""
    quotas.forget(_store(), tenant)
    print(f"{tenant} has the quotas of the service")


@commands.command()
def show(
    tenant: Annotated[str | None, Argument(help="Whose quotas; without: all that have quotas of their own.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show what a tenant may have and what it has, measured in the store."""
    if tenant is not None:
        return _tell(tenant, as_json=as_json)
    store = _store()
    rows = [{"tenant": name, **_shown(store, name)} for name in quotas.listed(store)]
    return print_json(rows) if as_json else print_rows(rows, ("tenant", *NAMES))


def _tell(tenant: str, *, as_json: bool) -> None:
    store = _store()
    used = measured(store, tenant)
    record = {"tenant": tenant, **_shown(store, tenant), "models_used": used.models, "bytes_used": used.bytes}
    return print_json(record) if as_json else print_record(record, record)


def _shown(store: Store, tenant: str) -> dict[str, Any]:
    quota = Settings().quota().but(quotas.overrides(store, tenant))
    return {name: getattr(quota, name) or "any" for name in NAMES}


def _store() -> Store:
    return Store(Settings().store)

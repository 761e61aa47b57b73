"""The command line: the service's processes, requests to a running service, and work done right here."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from typer import Argument, Option
from typer.core import TyperGroup

from app import (
    cli_bases,
    cli_check,
    cli_datasets,
    cli_keys,
    cli_local,
    cli_models,
    cli_service,
    cli_tenants,
    examples,
    supervisor,
)
from app.arguments import pairs
from app.client import Client, Refused
from app.examples import Examples
from app.options import LOCAL, JsonOption, ParamOption, TargetOption, UrlOption
from app.output import fail, print_json, print_record, print_rows, print_table
from app.settings import documentation, variable
from meta_core.errors import InvalidParameter, MetaError


class Commands(TyperGroup):
    """Commands whose common help ends with the settings."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The usual help, then the environment variables with their defaults."""
        super().format_help(ctx, formatter)
        print_table(("Setting", "Default", "What it is"), documentation(), "Settings are environment variables:")


cli = typer.Typer(
    name="shotput",
    cls=Commands,
    help="Learns from a handful of labelled examples. Start with `shotput up`, then `shotput adapt`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

cli.add_typer(cli_bases.cli, name="bases")
cli.add_typer(cli_datasets.cli, name="datasets")


def main() -> None:
    """Run a command; errors are a sentence on stderr and exit code 1."""
    try:
        cli()
    except (MetaError, Refused, supervisor.ServiceEnded) as error:
        fail(str(error))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = variable(str(first["loc"][0])) if first["loc"] else "the settings"
        fail(f"{name}: {first['msg']}; found {first['input']!r}")


cli.add_typer(cli_keys.commands, name="keys")
cli.add_typer(cli_tenants.commands, name="tenants")
cli.add_typer(cli_models.commands, name="examples")
for command in (cli_models.versions, cli_models.suggest, cli_models.aliases, cli_check.check):
    cli.command()(command)
for process in (cli_service.up, cli_service.api, cli_service.worker):
    cli.command()(process)


@cli.command()
def adapt(
    source: Annotated[Path, Argument(metavar="EXAMPLES", help="Folder of class folders, CSV file, or JSON file.")],
    *,
    base: Annotated[str | None, Option(help="Base model, name or name@version (`shotput bases`).")] = None,
    learner: Annotated[str | None, Option(help="Learner, if not the base's own (`shotput learners`).")] = None,
    param: ParamOption = None,
    name: Annotated[str | None, Option(help="A name to remember the model by.")] = None,
    task: Annotated[str | None, Option(help="classification or regression, where the labels leave it open.")] = None,
    unlabelled: Annotated[
        list[Path] | None, Option(help="More inputs, without labels: files, a folder of files, a CSV or a JSON file.")
    ] = None,
    target: TargetOption = None,
    url: UrlOption = LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Make an adapted model from labelled examples."""
    support = examples.support(source, target)
    options = {"base": base, "learner": learner, "name": name, "task": task, "params": pairs(param)}
    body = {**support.body, **{key: value for key, value in options.items() if value}}
    if "base" not in body:
        raise InvalidParameter("say which base model to adapt with --base; `shotput bases` lists them")
    if unlabelled:
        more = examples.queries(unlabelled, target)
        body["support"] = {**body["support"], "unlabelled": more.body["inputs"]}
        support = replace(support, unlabelled_sources=more.sources)
    with Console(stderr=True).status("adapting"):
        model = _naming_files(support, lambda: Client(url).adapt(body))
    if as_json:
        print_json(model)
        return
    print_record(model, ("id", "name", "base", "learner", "task", "shots", "scores", "seconds"))
    print(f"\nNow: shotput predict {model['id']} FILES", file=sys.stderr)


@cli.command()
def predict(
    model: Annotated[str, Argument(help="Id of an adapted model, mdl_…, or an alias.")],
    sources: Annotated[
        list[Path], Argument(metavar="INPUTS...", help="Files, folders of files, a CSV or a JSON file.")
    ],
    *,
    target: TargetOption = None,
    url: UrlOption = LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Ask an adapted model about inputs."""
    queries = examples.queries(sources, target)
    answer = _naming_files(queries, lambda: Client(url).predict({"model": model, **queries.body}))
    if as_json:
        print_json(answer)
        return
    predictions = answer["predictions"]
    columns = ("label", "probability") if "label" in predictions[0] else ("mean", "std", "interval")
    rows = ((queries.source(i), *(p[column] for column in columns)) for i, p in enumerate(predictions))
    print_table(("input", *columns), rows)


@cli.command()
def models(
    id: Annotated[str | None, Argument(help="One model, to see all of it.")] = None,
    *,
    delete: Annotated[bool, Option("--delete", help="Delete this model for good.")] = False,
    limit: Annotated[int, Option(help="How many of the newest to list.", min=1, max=1000)] = 50,
    url: UrlOption = LOCAL,
    as_json: JsonOption = False,
) -> None:
    """List adapted models, newest first; show or delete one."""
    client = Client(url)
    if id is None and delete:
        raise InvalidParameter("say which model to delete: shotput models ID --delete")
    if id is None:
        page = client.get("/models", limit=limit)
        columns = ("id", "status", "name", "base", "learner", "created_at")
        return print_json(page) if as_json else print_rows(page["data"], columns)
    if delete:
        client.delete(f"/models/{id}")
        return print(f"{id} is deleted")
    model = client.get(f"/models/{id}")
    return print_json(model) if as_json else print_record(model, [key for key in model if key != "links"])


@cli.command()
def learners(*, url: UrlOption = LOCAL, as_json: JsonOption = False) -> None:
    """List the learners, and the parameters that each of them takes."""
    found = Client(url).get("/learners")
    rows = [{**learner, "parameters": list(learner["parameters"].get("properties", {}))} for learner in found]
    return print_json(found) if as_json else print_rows(rows, ("name", "tasks", "parameters", "summary"))


for work in (cli_local.meta_train, cli_local.evaluate, cli_local.learn_selection):
    cli.command()(work)


def _naming_files(given: Examples, request: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The answer to a request; an error about an example says which file or line it was."""
    try:
        return request()
    except Refused as refused:
        sources = given.unlabelled_sources if refused.unlabelled else given.sources
        if refused.example is None or refused.example >= len(sources):
            raise
        raise Refused(f"{refused} ({sources[refused.example]})") from None


if __name__ == "__main__":
    main()

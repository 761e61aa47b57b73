"""What becomes of adapted models: `shotput examples`, `versions`, `suggest` and `aliases`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from app import examples
from app.client import Client
from app.options import LOCAL, JsonOption, TargetOption, UrlOption
from app.output import print_json, print_record, print_rows
from meta_core.errors import InvalidParameter

commands = typer.Typer(help="Add examples to an adapted model, or remove one: its next version.", no_args_is_help=True)

ModelArgument = Annotated[str, Argument(help="Id of an adapted model, mdl_…")]
FIELDS = ("id", "parent", "version", "change", "learner", "shots", "scores", "seconds")


@commands.command()
def add(
    model: ModelArgument,
    source: Annotated[Path, Argument(metavar="EXAMPLES", help="Folder of class folders, CSV file, or JSON file.")],
    *,
    learner: Annotated[str | None, Option(help="Learner of the next version, if it shall be another.")] = None,
    target: TargetOption = None,
    url: UrlOption = LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Learn more examples, of new classes too."""
    body = examples.support(source, target).body["support"]
    made = Client(url).adapt({**body, **({"learner": learner} if learner else {})}, f"/models/{model}/examples")
    return print_json(made) if as_json else print_record(made, FIELDS)


@commands.command()
def remove(
    model: ModelArgument,
    example: Annotated[int, Argument(help="Which, counted from 0 in the order they were sent.", min=0)],
    *,
    url: UrlOption = LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Forget an example."""
    made = Client(url).adapt(None, f"/models/{model}/examples/{example}", "DELETE")
    return print_json(made) if as_json else print_record(made, FIELDS)


def versions(model: ModelArgument, *, url: UrlOption = LOCAL, as_json: JsonOption = False) -> None:
    """List all versions of an adapted model, whichever of them is named."""
    found = Client(url).get(f"/models/{model}/versions")
    columns = ("version", "id", "parent", "change", "status", "learner", "shots", "created_at")
    return print_json(found) if as_json else print_rows(found["data"], columns)


def suggest(
    model: ModelArgument,
    sources: Annotated[
        list[Path], Argument(metavar="INPUTS...", help="Files, folders of files, a CSV or a JSON file, without labels.")
    ],
    *,
    count: Annotated[int, Option(help="How many to suggest.", min=1, max=200)] = 10,
    target: TargetOption = None,
    url: UrlOption = LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Say which unlabelled inputs to label next, best first."""
    queries = examples.queries(sources, target)
    found = Client(url).post(f"/models/{model}/suggest", {**queries.body, "count": count})
    if as_json:
        return print_json(found)
    rows = [{"input": queries.source(one["index"]), **one} for one in found["suggestions"]]
    return print_rows(rows, ("input", "index", "score"))


def aliases(
    name: Annotated[str | None, Argument(help="One alias.")] = None,
    models: Annotated[
        list[str] | None, Argument(metavar="MODEL[=WEIGHT]...", help="What it stands for from now on.")
    ] = None,
    *,
    delete: Annotated[bool, Option("--delete", help="Forget this alias; its models stay.")] = False,
    url: UrlOption = LOCAL,
    as_json: JsonOption = False,
) -> None:
    """List the names that stand for models; show, set or delete one."""
    client = Client(url)
    if name is None:
        if delete:
            raise InvalidParameter("say which alias to delete: shotput aliases NAME --delete")
        found = client.get("/aliases")
        return print_json(found) if as_json else print_rows(found, ("name", "models", "updated_at"))
    if delete:
        client.delete(f"/aliases/{name}")
        return print(f"{name} is deleted")
    alias = client.put(f"/aliases/{name}", {"models": weights(models)}) if models else client.get(f"/aliases/{name}")
    return print_json(alias) if as_json else print_record(alias, ("name", "models", "updated_at"))


def weights(texts: list[str]) -> dict[str, Any]:
    """Weights by model from MODEL or MODEL=WEIGHT. Raises `InvalidParameter`."""
    found: dict[str, Any] = {}
    for text in texts:
        model, separator, weight = text.partition("=")
        try:
            found[model] = float(weight) if separator else 1.0
        except ValueError:
            raise InvalidParameter(f"a weight is a number; found {weight!r} in {text!r}") from None
    return found

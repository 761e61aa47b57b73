"""`shotput bases`: list and show base models, choose their defaults, put one together from a pretrained body."""

from typing import Annotated, Any

import typer
from typer import Argument, Option
from typer.core import TyperGroup

from app.arguments import pairs
from app.client import Client
from app.options import LOCAL, JsonOption, UrlOption
from app.output import print_json, print_record, print_rows
from meta_core.errors import InvalidParameter

SHOWN = ("reference", "summary", "modality", "preprocessing", "backbone", "learners", "scores")
HISTORY = ("version", "default", "scores", "dataset", "seed", "seconds", "created_at")


class ShowUnlessTold(TyperGroup):
    """A group that shows where no command of it is named: `shotput bases`, `shotput bases omniglot`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As of the command `show`, unless the first word is a command or asks for help."""
        named = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else ["show", *args])


cli = typer.Typer(cls=ShowUnlessTold, help="Base models: list and show them, choose the default version, add one.")


@cli.command()
def show(
    name: Annotated[str | None, Argument(help="One base model, to see its versions and how they were made.")] = None,
    *,
    default: Annotated[int | None, Option(help="Make this version the default; 0 follows the newest again.")] = None,
    url: UrlOption = LOCAL,
    as_json: JsonOption = False,
) -> None:
    """List the base models that can be adapted; show one, promote or roll back its default version."""
    client = Client(url)
    if default is not None and name is None:
        raise InvalidParameter("say whose default it is: shotput bases NAME --default VERSION")
    if name is not None:
        path = f"/bases/{name}"
        base = client.get(path) if default is None else client.patch(path, {"default": default or None})
        if as_json:
            return print_json(base)
        print_record(base, SHOWN)
        return print_rows(base["history"], HISTORY)
    found = client.get("/bases")
    return print_json(found) if as_json else print_rows(found, ("reference", "modality", "learners", "summary"))


@cli.command()
def add(
    name: Annotated[str, Argument(help="Name of the base model; a new version of it is made.")],
    *,
    backbone: Annotated[str, Option(help="Pretrained body: timm/NAME, sentence-transformers/NAME, text-hash, …")],
    backbone_param: Annotated[
        list[str] | None, Option(help="Parameter of the body as key=value: revision=…, weights=/….safetensors.")
    ] = None,
    modality: Annotated[str, Option(help="What kind of inputs the body takes.")] = "image",
    preprocessing: Annotated[
        list[str] | None,
        Option(help="Setting of the modality as key=value.", show_default="what the body was made for"),
    ] = None,
    learner: Annotated[str, Option(help="Learner on top; one that need not be meta-trained.")] = "logistic",
    param: Annotated[list[str] | None, Option(help="Parameter of the learner as key=value.")] = None,
    summary: Annotated[str, Option(help="What it is for, in a sentence.")] = "",
    url: UrlOption = LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Put a pretrained body and a learner together to a base model; nothing is trained.

    The body's weights are loaded by the service, which must find them: on the hub, or in a file.
    """
    recipe = {
        "name": name,
        "summary": summary,
        "modality": modality,
        "preprocessing": pairs(preprocessing),
        "backbone": backbone,
        "backbone_params": pairs(backbone_param),
        "learner": learner,
        "params": pairs(param),
    }
    base = Client(url).post("/bases", recipe)
    return print_json(base) if as_json else print_record(base, SHOWN)

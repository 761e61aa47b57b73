"""`shotput datasets`: labelled examples for meta-training and evaluation."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from typer import Argument, Option

from app.client import Client
from app.options import LOCAL, JsonOption, UrlOption
from app.output import print_json, print_record, print_rows
from meta_core.archive import pack_folder
from meta_core.errors import NotFound
from meta_core.store import Store

cli = typer.Typer(help="Datasets for meta-training and evaluation: add, list, show, delete.", no_args_is_help=True)

IdArgument = Annotated[str, Argument(help="Id of a dataset, dst_…")]
FIELDS = ("id", "name", "modality", "task", "format", "examples", "ways", "classes", "shape", "bytes", "created_at")


@cli.command()
def add(
    source: Annotated[
        str, Argument(help="Folder of class folders; zip, CSV, Parquet, JSONL or npz file; or s3://, gs://, az:// URL.")
    ],
    *,
    name: Annotated[str | None, Option(help="A name to remember it by.")] = None,
    target: Annotated[str | None, Option(help="Column of a table that holds the label; the last if not given.")] = None,
    task: Annotated[
        str | None, Option(help="classification or regression, where integer labels leave it open.")
    ] = None,
    modality: Annotated[str | None, Option(help="Modality of the inputs, where the file leaves it open.")] = None,
    url: UrlOption = LOCAL,
    as_json: JsonOption = False,
) -> None:
    """Upload labelled examples. The same file again is the same dataset."""
    with as_one_file(source) as file, Console(stderr=True).status("uploading"):
        options = {"name": name, "target": target, "task": task, "modality": modality}
        card = Client(url).upload("/datasets", file, **options)
    return print_json(card) if as_json else print_record(card, FIELDS)


@cli.command("list")
def list_(*, url: UrlOption = LOCAL, as_json: JsonOption = False) -> None:
    """List datasets, newest first."""
    page = Client(url).get("/datasets", limit=1000)
    columns = ("id", "name", "modality", "task", "examples", "ways", "bytes", "created_at")
    return print_json(page) if as_json else print_rows(page["data"], columns)


@cli.command()
def show(id: IdArgument, *, url: UrlOption = LOCAL, as_json: JsonOption = False) -> None:
    """Show one dataset with its classes."""
    card = Client(url).get(f"/datasets/{id}")
    return print_json(card) if as_json else print_record(card, FIELDS)


@cli.command()
def delete(id: IdArgument, *, url: UrlOption = LOCAL) -> None:
    """Delete a dataset for good; base models that were trained on it stay."""
    Client(url).delete(f"/datasets/{id}")
    print(f"{id} is deleted")


@contextmanager
def as_one_file(source: str) -> Iterator[Path]:
    """A folder packed, an object of a store fetched, a file as it is. Raises `NotFound`."""
    path = Path(source)
    if "://" in source:
        folder, _, key = source.rpartition("/")
        with Store(folder).as_file(key) as file:
            yield file
    elif path.is_dir():
        with tempfile.TemporaryDirectory(prefix="shotput-") as place:
            packed = Path(place) / "folder.zip"
            pack_folder(path, packed)
            yield packed
    elif path.is_file():
        yield path
    else:
        raise NotFound(f"there is no folder or file {source}")

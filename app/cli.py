"""The command line: the service's processes, requests to a running service, and work done right here."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from typer import Argument, Option
from typer.core import TyperGroup

from app import cli_bases, cli_check, cli_datasets, cli_keys, cli_models, cli_tenants, examples, processes, supervisor
from app.arguments import pairs
from app.client import Client, Refused
from app.examples import Examples
from app.output import fail, print_json, print_record, print_rows, print_table, scores_sentence
from app.processes import ROOT, Part
from app.settings import Settings, documentation, variable
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

UrlOption = Annotated[str, Option(envvar="SHOTPUT_URL", help="Where the service runs.")]
JsonOption = Annotated[bool, Option("--json", help="Print the answer as JSON.")]
TargetOption = Annotated[str | None, Option(help="Column of a CSV file that holds the label; never sent as an input.")]
ParamOption = Annotated[list[str] | None, Option(help="Parameter of the learner as key=value (value: JSON or text).")]
HostOption = Annotated[str | None, Option(help="Address to listen on.", show_default="SHOTPUT_HOST")]
PortOption = Annotated[int | None, Option(help="Port to listen on.", show_default="SHOTPUT_PORT")]
LOCAL = "http://127.0.0.1:8000"


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


@cli.command()
def up(
    *,
    host: HostOption = None,
    port: PortOption = None,
    restart: Annotated[bool | None, Option(help="Replace a worker that died.", show_default="SHOTPUT_RESTART")] = None,
) -> None:
    """Run the whole service until Ctrl-C: Redis, the API, and the workers."""
    supervisor.run(_settings(host=host, port=port, restart=restart))


@cli.command()
def api(*, host: HostOption = None, port: PortOption = None) -> None:
    """Run one API process. Redis and a worker are started separately; `shotput up` starts all."""
    settings = _settings(host=host, port=port)
    together = tempfile.mkdtemp(prefix="shotput-metrics-") if settings.api_processes > 1 else None
    _become(processes.api(settings), settings, processes.counted_together(Path(together)) if together else {})


@cli.command()
def worker(
    queue: Annotated[str, Option(help="What it works on: adapt or meta-train.", envvar="SHOTPUT_QUEUE")] = "adapt",
) -> None:
    """Run one worker process. It waits for Redis by itself."""
    _become(processes.worker("worker", queue), Settings())


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


@cli.command("meta-train")
def meta_train(
    name: Annotated[str | None, Argument(help="Name of the base model; a new version of it is made.")] = None,
    *,
    recipe: Annotated[Path | None, Option(help="JSON file with all of this; options change it.")] = None,
    dataset: Annotated[str | None, Option(help="Dataset by name, dst_… id, folder of class folders, or file.")] = None,
    dataset_param: Annotated[list[str] | None, Option(help="Parameter of the dataset, key=value.")] = None,
    learner: Annotated[str | None, Option(help="Learner.", show_default="protonet")] = None,
    param: ParamOption = None,
    start: Annotated[str | None, Option(help="Base model from whose weights to start.")] = None,
    frozen: Annotated[bool | None, Option(help="Keep its body as it is and train the learner alone.")] = None,
    backbone: Annotated[str | None, Option(help="Backbone.", show_default="that of the start, or a usual one")] = None,
    backbone_param: Annotated[list[str] | None, Option(help="Parameter of the backbone, key=value.")] = None,
    steps: Annotated[int | None, Option(help="Optimiser steps.", show_default="2000")] = None,
    training: Annotated[
        list[str] | None,
        Option(help="Setting of the training, key=value: ways, shots, queries, tasks, rate, seed, validate_every, …"),
    ] = None,
    summary: Annotated[str | None, Option(help="What the base model is for, in a sentence.")] = None,
    output: Annotated[Path | None, Option(help="Write the artifact to this file instead of the store.")] = None,
    together: Annotated[
        int,
        Option(
            "--processes", help="Processes that share the tasks of each step; one a GPU, or a few cores each.", min=1
        ),
    ] = 1,
    log: Annotated[
        Path | None, Option(help="Append a row of JSON for each step: episode, loss, validation, rate, seconds.")
    ] = None,
    tensorboard: Annotated[Path | None, Option(help="Folder for TensorBoard to show (needs the extra).")] = None,
) -> None:
    """Make a base model, here and now. Interrupted, the same command goes on from the last checkpoint.

    On several machines, run `torchrun --nnodes … -m app.cli meta-train …` on each.
    """
    if together > 1 and "WORLD_SIZE" not in os.environ:
        _become_several(together)
    from app.local import in_store, make_base
    from meta_core.recipe import Recipe
    from meta_core.training_log import JSONLines, TensorBoard, TrainingLog

    values = examples.read_json(recipe) if recipe else {}
    parts = {"name": name, "summary": summary, "dataset": dataset, "learner": learner, "backbone": backbone}
    parts |= {"start": start}
    values |= {key: value for key, value in {**parts, "frozen": frozen}.items() if value is not None}
    given = {"dataset_params": dataset_param, "params": param, "backbone_params": backbone_param, "training": training}
    values |= {key: {**values.get(key, {}), **pairs(texts)} for key, texts in given.items() if texts}
    if steps is not None:
        values["training"] = {**values.get("training", {}), "steps": steps}
    logs: list[TrainingLog] = [JSONLines(log)] if log else []
    logs += [TensorBoard(tensorboard)] if tensorboard else []
    try:
        settings = Settings()
        if isinstance(values.get("dataset"), str):
            values["dataset"] = in_store(values["dataset"], settings)
        base = make_base(Recipe.parse(values, "recipe"), settings, output, logs)
    except KeyboardInterrupt:
        fail("stopped; the same command goes on from the last checkpoint", 130)
    finally:
        for written in logs:
            written.close()
    if os.environ.get("RANK", "0") == "0":
        print(f"{base.reference if output is None else output}: {json.dumps(base.scores)}")


@cli.command()
def evaluate(
    base: Annotated[str, Argument(help="Base model, name or name@version, or a .safetensors file.")],
    *,
    dataset: Annotated[str | None, Option(help="Dataset.", show_default="that of its meta-training")] = None,
    dataset_param: Annotated[list[str] | None, Option(help="Parameter of the dataset, key=value.")] = None,
    split: Annotated[str, Option(help="train, validation or test.")] = "test",
    ways: Annotated[int, Option(help="Classes of a task.", min=2)] = 5,
    shots: Annotated[int, Option(help="Support examples per class, or points of a regression task.", min=1)] = 1,
    queries: Annotated[int, Option(help="Queries per class, or points of a regression task.", min=1)] = 15,
    tasks: Annotated[int, Option(help="How many tasks.", min=1)] = 1000,
    seed: Annotated[int, Option(help="Which tasks.", min=0)] = 0,
    learner: Annotated[str | None, Option(help="Another learner on the embeddings of this base model.")] = None,
    param: ParamOption = None,
    as_json: JsonOption = False,
) -> None:
    """Grade a base model on tasks it has not seen: accuracy ± 95 % interval, NLL and calibration error."""
    from app.local import evaluate_base
    from meta_core.episodes import Size

    scores = evaluate_base(
        base,
        Settings(),
        dataset=dataset,
        dataset_params=pairs(dataset_param),
        split=split,
        size=Size(ways=ways, shots=shots, queries=queries),
        tasks=tasks,
        seed=seed,
        learner=learner,
        params=pairs(param),
    )
    return print_json(scores) if as_json else print(scores_sentence(scores))


@cli.command("learn-selection")
def learn_selection(
    *,
    tasks: Annotated[int, Option(help="How many tasks of each dataset.", min=1)] = 24,
    costly_every: Annotated[int, Option(help="Every so manieth task is tried with the slow learners too.", min=1)] = 8,
    seed: Annotated[int, Option(help="Which tasks.", min=0)] = 0,
    own: Annotated[bool, Option(help="Learn from the support sets that the service was given, too.")] = True,
    dataset: Annotated[
        list[str] | None,
        Option(help="Learn from this too: dst_… id, folder of class folders, or file; may be repeated."),
    ] = None,
    regression: Annotated[
        list[str] | None,
        Option(help="A table at hand whose last column holds targets, though few values; may be repeated."),
    ] = None,
    output: Annotated[Path | None, Option(help="Write to this file instead of the store.")] = None,
) -> None:
    """Learn from past tasks which learner to expect how much of: what `auto` knows beforehand.

    Tasks are those of the generators, of the datasets at hand, and the service's own. Workers read it when they start.
    """
    from app import local

    selection = local.learn_selection(
        Settings(),
        tasks=tasks,
        costly_every=costly_every,
        seed=seed,
        own=own,
        given=dataset or (),
        regressions=regression or (),
        output=output,
    )
    rows = (
        {"task": task, "learner": name, "tasks": known.tasks, **vars(known.calibration)}
        for task, by_name in selection.expectations.items()
        for name, known in by_name.items()
    )
    print_rows(rows, ("task", "learner", "tasks", "centre", "examples", "untold"))


def _naming_files(given: Examples, request: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The answer to a request; an error about an example says which file or line it was."""
    try:
        return request()
    except Refused as refused:
        sources = given.unlabelled_sources if refused.unlabelled else given.sources
        if refused.example is None or refused.example >= len(sources):
            raise
        raise Refused(f"{refused} ({sources[refused.example]})") from None


def _settings(**given: Any) -> Settings:
    """The settings of the environment, but for those that the command line gives."""
    return Settings(**{name: value for name, value in given.items() if value is not None})


def _become_several(processes: int) -> NoReturn:
    """The same command in so many processes, which torchrun starts and watches."""
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, "-P", "-m", *launcher, "-m", "app.cli", *sys.argv[1:]]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // processes))
    sys.stdout.flush()
    os.execve(command[0], command, {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": threads})  # noqa: S606


def _become(part: Part, settings: Settings, more: Mapping[str, str] | None = None) -> NoReturn:
    environment = {**processes.environment(settings, settings.api_processes), **(more or {})}
    os.execve(part.command[0], part.command, environment)  # noqa: S606


if __name__ == "__main__":
    main()

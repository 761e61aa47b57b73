"""Work done right here: `shotput meta-train`, `evaluate` and `learn-selection`."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

from typer import Argument, Option

from app import examples
from app.arguments import pairs
from app.options import JsonOption, ParamOption
from app.output import fail, print_json, print_rows, scores_sentence
from app.processes import ROOT
from app.settings import Settings


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


def _become_several(processes: int) -> NoReturn:
    """The same command in so many processes, which torchrun starts and watches."""
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, "-P", "-m", *launcher, "-m", "app.cli", *sys.argv[1:]]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // processes))
    sys.stdout.flush()
    os.execve(command[0], command, {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": threads})  # noqa: S606

"""Spoken digits from a speaker never heard: for each of three, a body meta-trained on the other two.

Beside it the nearest class mean on the log-spectrograms themselves. The ten words are those of training; the voice is
not. A task is one speaker's: support and queries are recordings of the one who was held out.

python -m benchmarks.speech [--tasks 600] [--home FOLDER]
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import write
from benchmarks.spoken_digits import write_recordings
from meta_core.backbone import build_backbone
from meta_core.base import Base, unpack_base
from meta_core.dataset import build_dataset
from meta_core.episodes import ClassSource, Size
from meta_core.evaluation import evaluate
from meta_core.learner import Learner, build_learner
from meta_core.process import prepare_process
from meta_core.recipe import Recipe, meta_train
from meta_core.training import Progress

SPEAKERS = ["george", "jackson", "lucas"]
RECIPE = Path(__file__).parent / "recipes" / "speech.json"
WAYS, QUERIES = 10, 10


def main() -> None:
    """Train and measure for every speaker; a body already in the folder is not trained again."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tasks", type=int, default=600)
    arguments.add_argument("--home", type=Path, default=Path(".shotput/speech"), help="for recordings and bodies")
    arguments.add_argument("--speakers", nargs="+", choices=SPEAKERS, default=SPEAKERS, help="who is held out in turn")
    given = arguments.parse_args()
    prepare_process(1)
    write_recordings(given.home / "audio")
    rows = [row for speaker in given.speakers for row in measure(speaker, given.home, given.tasks)]
    write("speech", f"python -m benchmarks.speech --tasks {given.tasks} --speakers {' '.join(given.speakers)}", rows)


def measure(speaker: str, home: Path, tasks: int) -> list[dict[str, Any]]:
    """Accuracy on tasks of one speaker."""
    recipe = Recipe.parse(json.loads(RECIPE.read_text()), "recipe")
    recipe = recipe.model_copy(update={"dataset_params": {**recipe.dataset_params, "held_out": [speaker]}})
    base = trained(recipe, home / f"without-{speaker}.safetensors", home)
    (recordings,) = build_dataset("audio", home / "audio", recipe.dataset_params).source("test").groups  # type: ignore[attr-defined]
    rows = []
    for name, (learner, source) in compared(base, recordings).items():
        for shots in (1, 5):
            size = Size(ways=WAYS, shots=shots, queries=QUERIES)
            result = evaluate(learner, source, size, tasks, torch.Generator().manual_seed(shots))
            row = {"speaker": speaker, "model": name, "ways": WAYS, "shots": shots, **asdict(result)}
            rows.append({key: value for key, value in row.items() if value is not None})
            print(speaker, name, shots, f"{100 * rows[-1]['accuracy']:.2f}", flush=True)
    return rows


@torch.no_grad()
def compared(base: Base, recordings: ClassSource) -> dict[str, tuple[Learner, ClassSource]]:
    """Learners, each with the embeddings that it sees: every recording is embedded once, by itself."""
    x = recordings.x.float() / 255
    y = torch.cat([torch.full((len(rows),), index) for index, rows in enumerate(recordings.members)])
    order = torch.cat(recordings.members)
    body = base.learner_for("protonet", {}, base.spec.shape, "classification")
    embedded, plain = (ClassSource(z[order], y) for z in (body.encode(x), x.flatten(1)))
    return {
        "protonet": (head("protonet", embedded), embedded),
        "ridge": (head("ridge", embedded), embedded),
        "nearest mean of log-spectrograms": (head("protonet", plain), plain),
    }


def head(name: str, source: ClassSource) -> Learner:
    """A learner on embeddings as they are."""
    return build_learner(name, build_backbone("identity", source.shape, {}), {}, "classification").eval()


def trained(recipe: Recipe, path: Path, home: Path) -> Base:
    """The base model of a recipe, from its file if that was made by the same recipe."""
    if path.exists():
        base = unpack_base(path.read_bytes())
        if Recipe.parse(base.provenance["recipe"], "recipe") == recipe:
            return base
    base = meta_train(recipe, version=1, datasets_folder=home, device=torch.device("cpu"), report=show)
    path.write_bytes(base.pack())
    return base


def show(progress: Progress) -> None:
    """A line now and then."""
    if progress.step % 50 == 0:
        print(f"step {progress.step}, loss {progress.loss:.3f}", flush=True)


if __name__ == "__main__":
    main()

"""Photographs of hand signs: five signs to learn from few examples, by a body meta-trained on the other five.

The ten digits of the Sign Language Digits dataset are split into two halves, in three ways, and one half is tested
with a body trained on the other one alone. Turned by quarters and mirrored, the five training signs are 40 classes. The
same people sign in both halves. Nothing is chosen by the result: one setting, a fixed number of steps, no validation.

python -m benchmarks.photographs [--tasks 600] [--home FOLDER]
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.record import SHARED_DATA, write
from meta_core.augment import photographed_again
from meta_core.backbone import Backbone, build_backbone
from meta_core.episodes import ClassSource, Size
from meta_core.evaluation import evaluate
from meta_core.learner import Learner, build_learner
from meta_core.process import prepare_process
from meta_core.training import MetaTraining, Progress, TrainingConfig

TESTS = [(3, 5, 6, 7, 8), (0, 1, 2, 4, 9), (5, 6, 7, 8, 9)]
"""Digits that are held out: as the dataset's page proposes, the other way round, and the second half in order."""
WAYS, QUERIES = 5, 15
TRAINING = TrainingConfig(
    steps=600, ways=20, shots=1, queries=3, rate=2e-3, warm_up=20, average=0.99, validate_every=100, validation_tasks=0
)


def main() -> None:
    """Train and measure on every split; a body already in the folder is not trained again."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tasks", type=int, default=600)
    arguments.add_argument("--home", type=Path, default=Path(".shotput/photographs"), help="for bodies")
    given = arguments.parse_args()
    prepare_process(1)
    rows = [row for split in splits() for row in measure(split, given.home, given.tasks)]
    write("photographs", f"python -m benchmarks.photographs --tasks {given.tasks}", rows)


def splits() -> list[tuple[list[int], list[int]]]:
    """Signs to train on and to test on."""
    return [([digit for digit in range(10) if digit not in test], list(test)) for test in TESTS]


def measure(split: tuple[list[int], list[int]], home: Path, tasks: int) -> list[dict[str, Any]]:
    """Accuracy on tasks of the signs that were held out."""
    training, test = split
    name = "".join(map(str, test))
    photographs = signs(test)
    body = trained(training, home / f"without-{name}.safetensors")
    embedded = photographs.encoded(body)
    plain = photographs.replaced(photographs.x.flatten(1).float() / 255)
    rows = []
    for model, learner, source in (
        ("protonet", "protonet", embedded),
        ("ridge", "ridge", embedded),
        ("nearest mean of pixels", "protonet", plain),
    ):
        for shots in (1, 5):
            size = Size(ways=WAYS, shots=shots, queries=QUERIES)
            result = evaluate(head(learner, source), source, size, tasks, torch.Generator().manual_seed(shots))
            row = {"test": name, "model": model, "ways": WAYS, "shots": shots, **asdict(result)}
            rows.append({key: value for key, value in row.items() if value is not None})
            print(name, model, shots, f"{100 * rows[-1]['accuracy']:.2f}", flush=True)
    return rows


def signs(digits: list[int]) -> ClassSource:
    """The photographs of some signs."""
    with np.load(SHARED_DATA / "sign_digits" / "sign_digits_32.npz", allow_pickle=False) as arrays:
        x = torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2).contiguous()  # [M, 3, 32, 32], uint8
        y = torch.from_numpy(arrays["label"]).long()
    chosen = torch.isin(y, torch.tensor(digits))
    return ClassSource(x[chosen], y[chosen])


def head(name: str, source: ClassSource) -> Learner:
    """A learner on embeddings as they are."""
    return build_learner(name, build_backbone("identity", source.shape, {}), {}, "classification").eval()


@torch.no_grad()
def trained(digits: list[int], path: Path) -> Backbone:
    """A body for colour photographs, from its file where there is one."""
    body = build_backbone("conv4", (3, 32, 32), {})
    if path.exists():
        body.load_state_dict(load_file(path))
    else:
        meta_trained(body, digits)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in body.state_dict().items()}, path)
    return body.eval()


@torch.enable_grad()
def meta_trained(body: Backbone, digits: list[int]) -> None:
    """Train a body as that of prototypical networks."""
    torch.manual_seed(TRAINING.seed)
    fresh = build_backbone(body.name, body.shape, body.config.model_dump())
    body.load_state_dict(fresh.state_dict())
    learner = build_learner("protonet", body, {}, "classification")
    photographs = signs(digits)
    labels = torch.empty(len(photographs.x), dtype=torch.long)
    for index, rows in enumerate(photographs.members):
        labels[rows] = index
    source = ClassSource(*turned_and_mirrored(photographs.x, labels), photographed_again)
    MetaTraining(learner, TRAINING, source, None).run(show)


def turned_and_mirrored(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Each class as eight: four quarter turns of it and of its mirror image."""
    images = [torch.rot90(side, turns, (2, 3)) for side in (x, x.flip(3)) for turns in range(4)]
    return torch.cat(images), torch.cat([y + 10 * place for place in range(8)])


def show(progress: Progress) -> None:
    """A line now and then."""
    if progress.step % 50 == 0:
        print(f"step {progress.step}, loss {progress.loss:.3f}, {progress.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()

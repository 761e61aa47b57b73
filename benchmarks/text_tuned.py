"""Intents from five and ten sentences each, with the encoder's last layers moved: beside the frozen one of `text`.

python -m benchmarks.text_tuned

All classes at once, official test sets. The settings of `setfit` were chosen on sentences of the training split of
banking77 that are in no support, and on the validation split of clinc150, never on test sentences.
"""

import time
from typing import Any

import torch
from torch import Tensor

from benchmarks.record import write
from benchmarks.text import NAMED, OUTSIDE, SETS, SHOTS, answers, embedded, labelled, reader, rejection
from meta_core.base import unpack_base
from meta_core.catalogue import SHIPPED
from meta_core.evaluation import mean_and_interval
from meta_core.learner import Learner
from meta_core.process import prepare_process
from meta_core.types import Support

BASE, LEARNER = "text-minilm", "setfit"


def main() -> None:
    """Measure accuracy, rejection and time."""
    prepare_process(1)
    base = unpack_base((SHIPPED / f"{BASE}.safetensors").read_bytes())
    rows: list[dict[str, Any]] = []
    for name in SETS:
        test = labelled(f"{name}/{name}.jsonl", "test")
        learner, x = reader(base, LEARNER, test.texts)
        h = embedded(learner, x)
        for shots in SHOTS:
            sample = labelled(f"{name}/dnnc_train_{shots}.jsonl")
            classes = sorted(set(sample.labels))
            x = reader(base, LEARNER, sample.texts + [label.replace("_", " ") for label in classes])[1]
            y = torch.tensor([classes.index(label) for label in sample.labels] + list(range(len(classes))))
            truth = torch.tensor([classes.index(label) if label != OUTSIDE else -1 for label in test.labels])
            found = measured(learner, Support(embedded(learner, x), y, len(classes)), h, truth)
            task = {"set": name, "shots": shots, "base": BASE, "learner": LEARNER + NAMED}
            rows += [{**task, **row} for row in found]
            print(rows[-len(found) :], flush=True)
    write("text_tuned", "python -m benchmarks.text_tuned", rows)


@torch.no_grad()
def measured(learner: Learner, support: Support, h: Tensor, truth: Tensor) -> list[dict[str, Any]]:
    """Accuracy on the whole test set, processor time of an adapt, and how well what is of no intent is told."""
    started = time.process_time()
    state = learner.adapt(support)
    seconds = time.process_time() - started
    inside = truth >= 0
    log_p = answers(learner, state, h)
    hits = (log_p.argmax(-1) == truth)[inside].double().tolist()
    accuracy, interval = mean_and_interval(hits)
    kept = sum(value.nbytes for value in state.values())
    rows = [{"accuracy": accuracy, "interval": interval, "queries": len(hits), "seconds": seconds, "bytes": kept}]
    if not inside.all():
        p = log_p.amax(-1)
        rows.append({"told by": "largest probability", **rejection(p[inside], p[~inside])})
    return rows


if __name__ == "__main__":
    main()

"""How well `unknown` tells what is of no class: a part of `benchmarks.choosing`."""

import csv
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from benchmarks.choosing_tasks import shipped
from benchmarks.record import SHARED_DATA
from benchmarks.text import OUTSIDE, labelled
from meta_core.base import Base
from meta_core.calibration import calibrated, calibration_of
from meta_core.datasets.omniglot import Omniglot, OmniglotConfig
from meta_core.quality import adapt_and_leave_out, sparable
from meta_core.types import Categorical, Support
from meta_core.unknown import class_means, learn_novelty, unknown_of


@torch.no_grad()
def rejections() -> Iterator[dict[str, Any]]:
    """How well `unknown` tells what is of no class, for several learners."""
    yield from other_alphabets()
    yield from out_of_scope()


def told_apart(base: Base, name: str, support: Support, asked: Sequence[Tensor]) -> list[list[float]]:
    """`unknown` of the inside and the outside queries."""
    own, config = base.spec.learners["classification"]
    learner = base.learner_for(name, config if name == own else {}, base.spec.shape or (1,), "classification")
    state, held_out = adapt_and_leave_out(learner, support)
    calibration = calibration_of(*held_out) if held_out else 1.0
    told = None
    if held_out is not None:
        answers = calibrated(held_out[0], calibration)
        assert isinstance(answers, Categorical)
        told = sparable(support, len(held_out[1])), answers
    novelty, means = learn_novelty(support, told), class_means(support)
    rates = []
    for z in asked:
        answer = calibrated(learner.predict(state, z), calibration)
        assert isinstance(answer, Categorical)
        rates += unknown_of([novelty], means[None], z.flatten(1)[None], answer.log_probabilities[None]).tolist()
    return rates


def other_alphabets() -> Iterator[dict[str, Any]]:
    """Five characters of one alphabet; characters of other alphabets are unknown."""
    base = shipped("omniglot")
    with (SHARED_DATA / "omniglot" / "classes.csv").open(newline="") as file:
        rows = sorted((int(r["char_id"]), r["alphabet"]) for r in csv.DictReader(file) if r["vinyals_split"] == "test")
    characters = Omniglot(SHARED_DATA / "omniglot", OmniglotConfig(rotations=False)).source("test")
    rng = torch.Generator().manual_seed(0)
    kept = torch.randperm(len(rows), generator=rng)[:120].tolist()
    alphabets = [rows[i][1] for i in kept]
    encode = base.learner_for("protonet", {}, base.spec.shape, "classification").inference().encode
    z = encode(torch.cat([characters.x[characters.members[i]] for i in kept]).float() / 255).view(len(kept), 20, -1)
    places = {a: [i for i, b in enumerate(alphabets) if a == b] for a in sorted(set(alphabets))}
    large = [a for a in places if len(places[a]) >= 5]
    for name in ("protonet", "ridge", "gp"):
        for shots in (1, 5):
            found = []
            for _ in range(40):
                alphabet = large[int(torch.randint(len(large), (), generator=rng))]
                own = [places[alphabet][i] for i in torch.randperm(len(places[alphabet]), generator=rng)[:5].tolist()]
                others = [i for i, b in enumerate(alphabets) if b != alphabet]
                support = Support(z[own, :shots].flatten(0, 1), torch.arange(5).repeat_interleave(shots), 5)
                inside, outside = z[own, 10:].flatten(0, 1), z[others, 10]
                a, b = told_apart(base, name, support, (inside, outside))
                found.append(roc_auc_score([0] * len(a) + [1] * len(b), a + b))
            yield {"unknown": "other alphabets", "learner": name, "shots": shots, "auroc": float(np.mean(found))}


def out_of_scope() -> Iterator[dict[str, Any]]:
    """All 150 intents of clinc150; its questions outside all of them are unknown."""
    base = shipped("text-minilm")
    learned, test = labelled("clinc150/dnnc_train_5.jsonl"), labelled("clinc150/clinc150.jsonl", "test")
    classes = sorted(set(learned.labels))
    inside = [text for text, label in zip(test.texts, test.labels, strict=True) if label != OUTSIDE][::5]
    outside = [text for text, label in zip(test.texts, test.labels, strict=True) if label == OUTSIDE]
    x = base.modality().read([*learned.texts, *inside, *outside], {})
    learner = base.learner_for("simpleshot", {}, tuple(x.shape[1:]), "classification")
    z, known, unknown = learner.encode(x).split([len(learned.texts), len(inside), len(outside)])
    support = Support(z, torch.tensor([classes.index(label) for label in learned.labels]), len(classes))
    for name in ("logistic", "simpleshot", "ridge"):
        a, b = told_apart(base, name, support, (known, unknown))
        auroc = float(roc_auc_score([0] * len(a) + [1] * len(b), a + b))
        yield {"unknown": "out of scope of clinc150", "learner": name, "shots": 5, "auroc": auroc}

"""Intents from five and ten sentences each: banking77 and clinc150, all classes at once, official test sets.

python -m benchmarks.text
"""

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor

from benchmarks.record import SHARED_DATA, write
from meta_core.base import Base, unpack_base
from meta_core.catalogue import SHIPPED
from meta_core.evaluation import mean_and_interval
from meta_core.learner import Learner
from meta_core.modalities.text import read_texts
from meta_core.process import prepare_process
from meta_core.quality import adapt_and_leave_out
from meta_core.types import Categorical, State, Support

SETS = ("banking77", "clinc150")
SHOTS = (5, 10)
OUTSIDE = "oos"
NAMED = ", the intent's name as one more sentence"
ROWS = (
    ("text-minilm", "logistic", ""),
    ("text-minilm", "logistic", NAMED),
    ("text-minilm", "ridge", ""),
    ("text-minilm", "simpleshot", ""),
    ("text-hash", "logistic", ""),
    ("text-hash", "logistic", NAMED),
)


class Labelled(NamedTuple):
    """Sentences and their intents."""

    texts: list[str]
    labels: list[str]


class Encoded:
    """The sentences of a set, embedded by one base model."""

    def __init__(self, base: Base, name: str) -> None:
        self.train = {shots: labelled(f"{name}/dnnc_train_{shots}.jsonl") for shots in SHOTS}
        test = labelled(f"{name}/{name}.jsonl", "test")
        self.classes = sorted(set(self.train[5].labels))
        self.truth = torch.tensor([self.classes.index(label) for label in test.labels if label != OUTSIDE])
        names = [label.replace("_", " ") for label in self.classes]
        texts = [self.train[5].texts, self.train[10].texts, names, test.texts]
        learner, x = reader(base, "simpleshot", [text for part in texts for text in part])
        few, more, self.names, z = embedded(learner, x).split([len(part) for part in texts])
        inside = torch.tensor([label != OUTSIDE for label in test.labels])
        self.z = {5: few, 10: more}
        self.test, self.outside = z[inside], z[~inside]

    def support(self, shots: int, *, named: bool = False) -> Support:
        """The fixed sample of so many sentences an intent, and if `named` its name as one more."""
        y = torch.tensor([self.classes.index(label) for label in self.train[shots].labels])
        if named:
            y = torch.cat([y, torch.arange(len(self.classes))])
        return Support(torch.cat([self.z[shots], self.names]) if named else self.z[shots], y, len(self.classes))


def main() -> None:
    """Measure accuracy, rejection and time."""
    prepare_process(1)
    bases = {name: unpack_base((SHIPPED / f"{name}.safetensors").read_bytes()) for name in ("text-minilm", "text-hash")}
    rows: list[dict[str, Any]] = []
    for name in SETS:
        encoded = {base: Encoded(bases[base], name) for base in bases}
        for shots in SHOTS:
            task = {"set": name, "shots": shots}
            for base, learner, more in ROWS:
                support = encoded[base].support(shots, named=bool(more))
                found = measured(bases[base], learner, encoded[base], support)
                rows += [{**task, "base": base, "learner": learner + more, **row} for row in found]
            rows.append({"set": name, "shots": shots, **scikit_learn(encoded["text-minilm"], shots)})
    rows += [adapt_time(bases["text-minilm"], learner) for learner in ("logistic", "ridge", "simpleshot")]
    write("text", "python -m benchmarks.text", rows)


def labelled(path: str, split: str | None = None) -> Labelled:
    """The sentences of a file, or of one part of it."""
    records = [json.loads(line) for line in (SHARED_DATA / path).read_text().splitlines()]
    chosen = [record for record in records if split in (None, record.get("split"))]
    return Labelled([record["text"] for record in chosen], [record["label"] for record in chosen])


def reader(base: Base, name: str, texts: list[str]) -> tuple[Learner, Tensor]:
    """A learner on the embeddings of a base model, and texts as it takes them."""
    x = base.modality().read(texts, {})
    own, config = base.spec.learners["classification"]
    return base.learner_for(name, config if name == own else {}, tuple(x.shape[1:]), "classification"), x


@torch.no_grad()
def embedded(learner: Learner, x: Tensor) -> Tensor:
    """Embeddings [N, D]."""
    return learner.encode(x)


@torch.no_grad()
def measured(base: Base, name: str, encoded: Encoded, support: Support) -> Iterator[dict[str, Any]]:
    """Accuracy on the whole test set, and how well what is of no intent is told from what is."""
    learner = reader(base, name, ["a"])[0]
    state = learner.adapt(support)
    p = answers(learner, state, encoded.test)
    hits = (p.argmax(-1) == encoded.truth).double().tolist()
    accuracy, interval = mean_and_interval(hits)
    yield {"accuracy": accuracy, "interval": interval, "queries": len(hits)}
    if len(encoded.outside):
        scores = {
            "largest probability": [p.amax(-1), answers(learner, state, encoded.outside).amax(-1)],
            "cosine to the nearest example": [nearest(encoded.test, support.x), nearest(encoded.outside, support.x)],
        }
        yield from ({"told by": told, **rejection(*pair)} for told, pair in scores.items())


def answers(learner: Learner, state: State, z: Tensor) -> Tensor:
    """Log-probabilities [Q, C]."""
    prediction = learner.predict(state, z)
    assert isinstance(prediction, Categorical)
    return prediction.log_probabilities


def nearest(z: Tensor, examples: Tensor) -> Tensor:
    """Cosine to the nearest of the examples, [Q]; both are of length 1."""
    return (z @ examples.T).amax(-1)


def rejection(inside: Tensor, outside: Tensor) -> dict[str, Any]:
    """Area under the ROC curve, and the share rejected by the threshold that accepts 95 % of the test's intents."""
    threshold = inside.double().quantile(0.05)
    auroc = roc_auc_score([1] * len(inside) + [0] * len(outside), torch.cat([inside, outside]).numpy())
    recall = (outside.double() < threshold).double().mean().item()
    return {"auroc": float(auroc), "recall": recall, "outside": len(outside)}


def scikit_learn(encoded: Encoded, shots: int) -> dict[str, Any]:
    """Its logistic regression, with C = 1, on the same embeddings."""
    support = encoded.support(shots)
    fitted = LogisticRegression(max_iter=1000).fit(support.x.numpy(), support.y.numpy())
    hits = (torch.from_numpy(fitted.predict(encoded.test.numpy())) == encoded.truth).double().tolist()
    accuracy, interval = mean_and_interval(hits)
    model = {"base": "text-minilm embeddings", "learner": "scikit-learn logistic regression, C = 1"}
    return {**model, "accuracy": accuracy, "interval": interval, "queries": len(hits)}


@torch.no_grad()
def adapt_time(base: Base, name: str) -> dict[str, Any]:
    """Processor time of reading, encoding and adapting to 385 texts with all scores, over that of the encoder alone."""
    sample = labelled("banking77/dnnc_train_5.jsonl")
    classes = sorted(set(sample.labels))
    y = torch.tensor([classes.index(label) for label in sample.labels])
    learner, x = reader(base, name, sample.texts)
    learner.encode(x)
    ratios, seconds = [], []
    for _ in range(3):
        started = time.process_time()
        learner.encode(x)
        encoding = time.process_time() - started
        started = time.process_time()
        _, x = reader(base, name, sample.texts)
        adapt_and_leave_out(learner, Support(learner.encode(x), y, len(classes)))
        seconds.append(time.process_time() - started)
        ratios.append(seconds[-1] / encoding)
    assert read_texts(x) == sample.texts
    median = sorted(range(3), key=ratios.__getitem__)[1]
    return {"adapt": name, "texts": len(x), "seconds": seconds[median], "over the encoder": ratios[median]}


if __name__ == "__main__":
    main()

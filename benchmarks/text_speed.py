"""Adapting and predicting on MiniLM, beside sentence-transformers called text by text and in one batch.

python -m benchmarks.text_speed [--rounds 9] [--seconds 3]

CPU time of 25 sentences of five classes that a ridge regression learns from, and of 16 requests of one sentence to 16
adapted models; the head is the same on every side. Then the same requests over HTTP.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import torch
from torch import Tensor

from benchmarks.interleaved import in_turns, row
from benchmarks.load import Load, told
from benchmarks.predict_http import started
from benchmarks.record import write
from meta_core.adapted import AdaptedModel, unpack_adapted
from meta_core.backbones.sentence_transformers import load_encoder
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine, TaskRequest
from meta_core.ids import new_id, result_key
from meta_core.orders import Order, finish
from meta_core.process import prepare_process
from meta_core.store import Store
from meta_core.types import Support

BASE, WAYS, SHOTS, TOGETHER = "text-minilm", 5, 5, 16
SUBJECTS = ("my parcel", "the invoice", "our contract", "this password", "a refund")
SAID = (
    "Where is {} now, please?",
    "I have been waiting for {} since Tuesday and nobody answers the telephone.",
    "Something is wrong with {}.",
    "Could you tell me who takes care of {} while Ms Miller is away?",
    "Thank you, {} has been dealt with.",
)


def main() -> None:
    """In the process, then over HTTP."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--seconds", type=float, default=3)
    given = arguments.parse_args()
    prepare_process(1)
    texts, labels = sentences()
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:
        rows = inside(Path(folder), texts, labels, given.rounds)
        rows += over_http(Path(folder), texts, labels, given.seconds)
    write("text_speed", f"python -m benchmarks.text_speed --rounds {given.rounds} --seconds {given.seconds:g}", rows)


def sentences() -> tuple[list[str], list[str]]:
    """Every remark on every subject, and the subjects."""
    pairs = [(said.format(subject), subject) for subject in SUBJECTS for said in SAID]
    return [text for text, _ in pairs], [subject for _, subject in pairs]


def inside(folder: Path, texts: list[str], labels: list[str], rounds: int) -> list[dict[str, Any]]:
    """Without HTTP."""
    store = Store(str(folder / "alone"))
    engine = Engine(Catalogue(store), torch.device("cpu"))
    models = [adapted(engine, store, texts, labels) for _ in range(TOGETHER)]
    learner = engine.learner_of(models[0])
    encoder = load_encoder(learner.backbone.config)  # type: ignore[arg-type]
    x, y = engine.read(models[0], texts), torch.tensor([SUBJECTS.index(label) for label in labels])

    def batch(some: list[str]) -> Tensor:
        z: Tensor = encoder.encode(some, convert_to_tensor=True, show_progress_bar=False)
        return z

    def loop(some: list[str]) -> Tensor:
        return torch.cat([batch([text]) for text in some])

    def adapts(encode: Callable[[list[str]], Tensor]) -> Callable[[], Any]:
        return lambda: learner.adapt(Support(encode(texts), y, WAYS))

    def predicts(encode: Callable[[list[str]], Tensor]) -> Callable[[], Any]:
        def asked() -> list[Tensor]:
            z = encode(texts[:TOGETHER])
            return [learner.predict(model.state, z[i : i + 1]).log_probabilities for i, model in enumerate(models)]

        return asked

    requests = [(model, engine.read(model, [text])) for model, text in zip(models, texts, strict=False)]
    with torch.inference_mode():
        first = in_turns(
            {
                "ours": lambda: learner.adapt(Support(learner.encode(x), y, WAYS)),
                "in a loop": adapts(loop),
                "in one batch": adapts(batch),
            },
            rounds,
            warm=2,
        )
        second = in_turns(
            {"ours": lambda: engine.predict(requests), "in a loop": predicts(loop), "in one batch": predicts(batch)},
            rounds,
            warm=2,
        )
    return [
        row(what, taken, "ours", peer, "")
        for what, taken in ((f"adapt to {len(texts)} texts", first), (f"{TOGETHER} requests of one text", second))
        for peer in ("in a loop", "in one batch")
    ]


def adapted(engine: Engine, store: Store, texts: list[str], labels: list[str]) -> AdaptedModel:
    """A model as a worker makes it."""
    record, support = engine.accept(TaskRequest(base=BASE, inputs=texts, labels=labels, learner="ridge"))
    order = Order(id=new_id("mdl"), tenant="default", kind="adapt", spec={"record": record}, created_at="")
    finish(store, order, engine.adapt_order(order, support))
    return unpack_adapted(store.get(result_key("default", order.id)), order.id)


def over_http(folder: Path, texts: list[str], labels: list[str], seconds: float) -> list[dict[str, Any]]:
    """`/adapt` by one client, `/predict` by 1 and 16."""
    support = {"base": BASE, "learner": "ridge", "support": {"inputs": texts, "labels": labels}}
    with started("shotput", folder) as (port, _):
        url = f"http://127.0.0.1:{port}/adapt"
        model = httpx.post(url, json=support, timeout=120, trust_env=False).raise_for_status().json()["id"]
        adapt = json.dumps(support).encode()
        question = json.dumps({"model": model, "inputs": texts[:1]}).encode()
        rows = []
        for path, body, clients in (("/adapt", adapt, 1), ("/predict", question, 1), ("/predict", question, TOGETHER)):
            Load(port, path, lambda body=body: body, clients=clients, seconds=1).run()  # type: ignore[misc]
            load = Load(port, path, lambda body=body: body, clients=clients, seconds=seconds)  # type: ignore[misc]
            latencies = load.run()
            rows.append({"what": f"{path}, {clients} client{'s' * (clients > 1)}", **told(latencies, load.taken)})
    return rows


if __name__ == "__main__":
    main()

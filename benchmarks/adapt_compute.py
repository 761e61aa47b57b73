"""The arithmetic of one adapt, 5-way 5-shot on Conv4-64, beside what one would write or take instead; one thread.

python -m benchmarks.adapt_compute [--rounds 60]
"""

import argparse
import json
import tempfile
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.interleaved import in_turns, row
from benchmarks.limit import limit_ms
from benchmarks.peers import learn2learn_maml
from benchmarks.plain import PlainProtoNet, plain_conv4
from benchmarks.record import write
from meta_core.backbone import build_backbone
from meta_core.catalogue import Catalogue
from meta_core.chain import Chain
from meta_core.engine import Engine
from meta_core.learner import Learner, build_learner
from meta_core.onnx_form import OnnxChain
from meta_core.process import prepare_process
from meta_core.store import Store
from meta_core.types import Support

WAYS, SHOTS, STEPS = 5, 5, 5


def main() -> None:
    """Measure each learner."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=60)
    rounds = arguments.parse_args().rounds
    prepare_process(1)
    torch.manual_seed(0)
    x, y = torch.rand(WAYS * SHOTS, 1, 28, 28), torch.arange(WAYS).repeat_interleave(SHOTS)
    rows = [*closed_forms(x, y, rounds), maml(x, y, rounds)]
    write("adapt_compute", f"python -m benchmarks.adapt_compute --rounds {rounds}", rows)


def closed_forms(x: torch.Tensor, y: torch.Tensor, rounds: int) -> list[dict[str, Any]]:
    """ProtoNet and ridge by the engine's learners, by plain modules, and with the body in onnxruntime."""
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(Catalogue(Store(folder)), torch.device("cpu"))
        base = engine.catalogue.get("omniglot")
        learners = {name: served(engine, name) for name in ("protonet", "ridge")}
    trained = base.spec.build(base.spec.shape, "classification")
    trained.load_state_dict(base.weights)
    plain = plain_conv4(trained.backbone).requires_grad_(False)
    protonet, ways = PlainProtoNet(plain), Support(x, y, WAYS)
    chain = trained.backbone.inference()
    assert isinstance(chain, Chain)
    runtime = OnnxChain(chain)

    def with_onnx(learner: Learner) -> None:
        learner.adapt(Support(runtime(x), y, WAYS))

    def with_chain(learner: Learner) -> None:
        learner.adapt(Support(chain(x), y, WAYS))

    def with_plain(learner: Learner) -> None:
        learner.adapt(Support(plain(x), y, WAYS))

    with torch.no_grad():
        z = learners["protonet"].encode(x)
        assert torch.allclose(z, plain(x), atol=1e-4)
        assert torch.allclose(z, runtime(x), atol=1e-4)
        first = in_turns(
            {
                "protonet": lambda: learners["protonet"].adapt(Support(learners["protonet"].encode(x), y, WAYS)),
                "nn.Module.eval": lambda: protonet.process_support_set(ways.x, ways.y),
                "onnxruntime": lambda: with_onnx(learners["protonet"]),
                "PyTorch alone": lambda: with_chain(learners["protonet"]),
            },
            rounds,
        )
        second = in_turns(
            {
                "ridge": lambda: learners["ridge"].adapt(Support(learners["ridge"].encode(x), y, WAYS)),
                "nn.Module.eval": lambda: with_plain(learners["ridge"]),
                "onnxruntime": lambda: with_onnx(learners["ridge"]),
            },
            rounds,
        )
    about = "5-way 5-shot, Conv4-64"
    rows = [
        row(f"{name}, {about}", taken, name, peer, wanted)
        for name, taken in (("protonet", first), ("ridge", second))
        for peer, wanted in (("nn.Module.eval", "≥ 3.5"), ("onnxruntime", "≥ 0.83"))
    ] + [row(f"protonet, {about}, without the extra onnx", first, "PyTorch alone", "onnxruntime", "≥ 0.83")]
    limit = limit_ms(WAYS * SHOTS)
    return [{**one, "limit_ms": limit} for one in rows]


def served(engine: Engine, name: str) -> Learner:
    """A learner as the service uses it, on the shipped base model."""
    base = engine.catalogue.get("omniglot")
    params = base.params_of(name, "classification")
    return engine._built.learner(base, name, json.dumps(params), base.spec.shape, "classification")


def maml(x: torch.Tensor, y: torch.Tensor, rounds: int) -> dict[str, Any]:
    """First-order steps of the whole network: ours, and learn2learn's clone and adapt, on networks of one kind."""
    body = build_backbone("conv4", (1, 28, 28), {"norm": "group"})
    learner = build_learner("maml", body, {"steps": STEPS, "rate": 0.1}, "classification").requires_grad_(False)
    head = nn.Linear(body.dimension, WAYS)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    theirs = learn2learn_maml()(nn.Sequential(plain_conv4(body), head).requires_grad_(), lr=0.1, first_order=True)

    def adapted() -> torch.Tensor:
        clone = theirs.clone()
        for _ in range(STEPS):
            clone.adapt(F.cross_entropy(clone(x), y))
        return clone(x)

    @torch.no_grad()
    def ours() -> torch.Tensor:
        state = learner.adapt(Support(x, y, WAYS))
        return learner.predict(state, x).log_probabilities

    assert torch.allclose(ours(), adapted().log_softmax(-1), atol=1e-3)
    taken = in_turns({"maml": ours, "learn2learn": adapted}, max(10, rounds // 3), warm=2)
    what = f"maml, {STEPS} steps and an answer, 5-way 5-shot, Conv4-64"
    passes = 3 * STEPS + 1  # forward, and backward by weights and by what comes in, each as much
    return {**row(what, taken, "maml", "learn2learn", "≥ 1.9"), "limit_ms": passes * limit_ms(WAYS * SHOTS)}


if __name__ == "__main__":
    main()

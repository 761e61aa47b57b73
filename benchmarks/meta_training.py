"""One task of meta-training on Conv4-64, 5-way 1-shot with 15 queries a class, beside the libraries for it.

python -m benchmarks.meta_training [--rounds 15] [--device cpu] [--tasks 1]

Each side computes the meta-gradient of the same task from the same weights, and both must agree to 1 % of its norm:
in single precision some maxima of the pools are decided by rounding (tests/learners/test_maml.py compares in double).
On a GPU `--tasks` of them are one step, as `meta-train` takes it; the libraries loop over them.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.interleaved import in_turns, row
from benchmarks.limit import limit_ms
from benchmarks.peers import easyfsl_protonet, higher, learn2learn_maml, torchopt
from benchmarks.plain import plain_conv4
from benchmarks.record import write
from meta_core.backbone import build_backbone
from meta_core.learner import Learner, build_learner
from meta_core.process import choose_device, prepare_process
from meta_core.task_batches import shares_of_mean_loss
from meta_core.types import Episode, Support

WAYS, QUERIES, RATE = 5, 15, 0.1
Side = Callable[[], list[Tensor]]
"""Computes the meta-gradient: that of the body's first convolution, and of its last."""


def main() -> None:
    """Measure each algorithm."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--tasks", type=int, default=1)
    given = arguments.parse_args()
    prepare_process(1)
    torch.manual_seed(0)
    device = choose_device(given.device)
    episodes = [drawn(device) for _ in range(given.tasks)]
    rows = [
        *maml(episodes, given.rounds, first_order=True, steps=1, wanted="≥ 1.9"),
        *maml(episodes, given.rounds, first_order=True, steps=5, wanted="≥ 1.9"),
        *maml(episodes, given.rounds, first_order=False, steps=1, wanted="≥ 1.6"),
        *maml(episodes, given.rounds, first_order=False, steps=5, wanted="≥ 1.25"),
        anil(episodes, given.rounds),
        protonet(episodes, given.rounds),
    ]
    name = "meta_training" if device.type == "cpu" else f"meta_training_{device.type}"
    options = f"--rounds {given.rounds} --device {given.device} --tasks {given.tasks}"
    write(name, f"python -m benchmarks.meta_training {options}", rows)


def drawn(device: torch.device) -> Episode:
    """A task of random images."""
    y, t = torch.arange(WAYS), torch.arange(WAYS).repeat_interleave(QUERIES)
    support = Support(torch.rand(WAYS, 1, 28, 28), y, WAYS)
    return Episode(support, torch.rand(WAYS * QUERIES, 1, 28, 28), t).to(device)


def maml(episodes: list[Episode], rounds: int, *, first_order: bool, steps: int, wanted: str) -> list[dict[str, Any]]:
    """All of the network moves in a task; group normalisation on every side."""
    learner = ours("maml", "group", {"steps": steps, "rate": RATE, "first_order": first_order}, episodes)
    network = nn.Sequential(plain_conv4(learner.backbone), zero_head(learner)).to(episodes[0].x).requires_grad_()
    sides = {"ours": meta_gradient(learner, episodes)}
    sides["learn2learn"] = by_learn2learn(network, episodes, steps, first_order)
    if not first_order:
        sides |= {"higher": by_higher(network, episodes, steps), "torchopt": by_torchopt(network, episodes, steps)}
    for side in sides.values():
        agree(side, sides["ours"])
    taken = timed(sides, rounds, episodes)
    order = "first" if first_order else "second"
    about = f"MAML, {order} order, {steps} step{'s' * (steps > 1)}"
    rows = [row(about, taken, "ours", peer, wanted) for peer in sides if peer != "ours"]
    if not first_order or episodes[0].x.is_cuda:
        return rows
    limit = len(episodes) * limit_ms(3 * WAYS * (steps + QUERIES))  # three passes: forward, and two backward
    return [{**one, "limit_ms": limit} for one in rows]


def anil(episodes: list[Episode], rounds: int) -> dict[str, Any]:
    """The head moves, in 5 steps of second order, on the embeddings of a body that batch normalisation trains."""
    learner = ours("anil", "batch", {"steps": 5, "rate": RATE}, episodes)
    body = plain_conv4(learner.backbone).to(episodes[0].x).requires_grad_().train()
    head = learn2learn_maml()(zero_head(learner).to(episodes[0].x), lr=RATE)

    def theirs() -> list[Tensor]:
        body.zero_grad()
        for episode in episodes:
            z = body(torch.cat([episode.support.x, episode.x]))
            support, queries = z[: len(episode.support)], z[len(episode.support) :]
            clone = head.clone()
            for _ in range(5):
                clone.adapt(F.cross_entropy(clone(support), episode.support.y))
            (F.cross_entropy(clone(queries), episode.y) / len(episodes)).backward()
        return gradients(body)

    sides = {"ours": meta_gradient(learner, episodes), "learn2learn": theirs}
    agree(theirs, sides["ours"])
    return row("ANIL, 5 steps", timed(sides, rounds, episodes), "ours", "learn2learn", "≥ 1.8")


def protonet(episodes: list[Episode], rounds: int) -> dict[str, Any]:
    """Support and queries in one pass here, in two there, so statistics of batch normalisation differ."""
    learner = ours("protonet", "batch", {}, episodes)
    body = plain_conv4(learner.backbone).to(episodes[0].x).requires_grad_().train()
    classifier = easyfsl_protonet()(body)

    def theirs() -> list[Tensor]:
        body.zero_grad()
        for episode in episodes:
            classifier.process_support_set(episode.support.x, episode.support.y)
            (F.cross_entropy(classifier(episode.x), episode.y) / len(episodes)).backward()
        return gradients(body)

    sides = {"ours": meta_gradient(learner, episodes), "easyfsl": theirs}
    return row("ProtoNet", timed(sides, rounds, episodes), "ours", "easyfsl", "≥ 1.8")


def ours(name: str, norm: str, config: dict[str, Any], episodes: list[Episode]) -> Learner:
    """A learner as `meta-train` trains it."""
    body = build_backbone("conv4", (1, 28, 28), {"norm": norm})
    return build_learner(name, body, config, "classification").to(episodes[0].x.device).train()


def zero_head(learner: Learner) -> nn.Linear:
    """The head from which ours starts."""
    head = nn.Linear(learner.backbone.dimension, WAYS)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def meta_gradient(learner: Learner, episodes: list[Episode]) -> Side:
    """As `MetaTraining` computes it."""

    def computed() -> list[Tensor]:
        learner.zero_grad()
        for loss in shares_of_mean_loss(learner, episodes, len(episodes)):
            torch.autograd.backward(loss)
        return gradients(learner.backbone)

    return computed


def by_learn2learn(network: nn.Module, episodes: list[Episode], steps: int, first_order: bool) -> Side:
    """`clone` and `adapt`."""
    start = learn2learn_maml()(network, lr=RATE, first_order=first_order)

    def computed() -> list[Tensor]:
        network.zero_grad()
        for episode in episodes:
            clone = start.clone()
            for _ in range(steps):
                clone.adapt(F.cross_entropy(clone(episode.support.x), episode.support.y))
            (F.cross_entropy(clone(episode.x), episode.y) / len(episodes)).backward()
        return gradients(network)

    return computed


def by_higher(network: nn.Module, episodes: list[Episode], steps: int) -> Side:
    """`innerloop_ctx`."""
    loop, optimizer = higher().innerloop_ctx, torch.optim.SGD(network.parameters(), lr=RATE)

    def computed() -> list[Tensor]:
        network.zero_grad()
        for episode in episodes:
            with loop(network, optimizer, copy_initial_weights=False) as (functional, differentiable):
                for _ in range(steps):
                    differentiable.step(F.cross_entropy(functional(episode.support.x), episode.support.y))
                (F.cross_entropy(functional(episode.x), episode.y) / len(episodes)).backward()
        return gradients(network)

    return computed


def by_torchopt(network: nn.Module, episodes: list[Episode], steps: int) -> Side:
    """`MetaSGD`, its state put back after each task."""
    library = torchopt()
    inner = library.MetaSGD(network, lr=RATE)
    start, state = (library.extract_state_dict(of, by="reference") for of in (network, inner))

    def computed() -> list[Tensor]:
        network.zero_grad()
        for episode in episodes:
            for _ in range(steps):
                inner.step(F.cross_entropy(network(episode.support.x), episode.support.y))
            (F.cross_entropy(network(episode.x), episode.y) / len(episodes)).backward()
            library.recover_state_dict(network, start)
            library.recover_state_dict(inner, state)
        return gradients(network)

    return computed


def gradients(network: nn.Module) -> list[Tensor]:
    """Of the first convolution and of the last."""
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    found = [convolutions[i].weight.grad for i in (0, -1)]
    return [gradient.clone() for gradient in found if gradient is not None]


@torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
def agree(theirs: Side, ours: Side) -> None:
    """Raises `AssertionError` where they differ by more than 1 % of their norm, multiplied in full precision."""
    for a, b in zip(theirs(), ours(), strict=True):
        assert (a - b).norm() <= 1e-2 * b.norm(), f"meta-gradients differ by {(a - b).norm() / b.norm():.2g}"


def timed(sides: dict[str, Side], rounds: int, episodes: list[Episode]) -> dict[str, list[float]]:
    """Seconds by the CPU's time, on a GPU by the clock."""
    if not episodes[0].x.is_cuda:
        return in_turns(sides, rounds, warm=2)

    def clock() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return in_turns(sides, rounds, clock=clock)


if __name__ == "__main__":
    main()

"""What a task looks like before anything is learned from it: numbers from which to expect how learners will do."""

import math

import torch
from torch import Tensor

from meta_core.types import Support

NAMES = (
    "log examples",
    "log dimension",
    "log outputs",
    "log examples per output",
    "imbalance",
    "log examples per dimension",
    "spectrum",
    "separation",
    "nearest classes",
    "single shots",
)
MOST_EXAMPLES = 256
"""Of which separation and spectrum are taken; beyond, evenly chosen ones."""


@torch.no_grad()
def task_features(support: Support) -> list[float]:
    """The numbers called `NAMES`, of an encoded support set.

    `spectrum` is the share of all directions that the embeddings fill (participation ratio), `separation` the log of
    the variance between the classes over that within, `nearest classes` how close the closest two class means are.
    """
    z = support.x.flatten(1)
    n, d = z.shape
    if n > MOST_EXAMPLES:
        z = z[torch.linspace(0, n - 1, MOST_EXAMPLES).round().long()]
    outputs = support.ways or support.y.shape[1]
    found = [math.log(n), math.log(d), math.log(outputs), math.log(n / outputs)]
    found += [_imbalance(support), math.log(n / d), _spectrum(z)]
    return [*found, *(_classes(support) if support.ways is not None else (0.0, 0.0, 0.0))]


def _imbalance(support: Support) -> float:
    """How far the entropy of the classes is below that of equal ones, in nats."""
    if support.ways is None:
        return 0.0
    shares = support.counts().double() / len(support)
    return math.log(support.ways) + (shares * shares.log()).sum().item()


def _spectrum(z: Tensor) -> float:
    centred = (z - z.mean(0)).double()
    gram = centred @ centred.T if len(z) <= z.shape[1] else centred.T @ centred
    squared = gram.square().sum().item()
    return math.log(gram.trace().item() ** 2 / squared / len(gram)) if squared > 0 else 0.0


def _classes(support: Support) -> tuple[float, float, float]:
    x = support.x.flatten(1)
    members = torch.nn.functional.one_hot(support.y, int(support.ways or 0)).to(x)  # [N, C]
    counts = members.sum(0)
    means = members.T @ x / counts[:, None]  # [C, D]
    within = (x - means[support.y]).square().sum() / (len(x) - len(means)) if len(x) > len(means) else x.new_zeros(())
    between = (means - means.mean(0)).square().sum() / max(len(means) - 1, 1)
    separation = ((between + 1e-9) / (within + 1e-9)).log().clamp(-5, 8).item() if within > 0 else 0.0
    apart = torch.pdist(means).square() if len(means) <= MOST_EXAMPLES else torch.pdist(means[:MOST_EXAMPLES]).square()
    nearest = ((apart.min() + 1e-9) / (apart.mean() + 1e-9)).log().clamp(-8, 0).item()
    return separation, nearest, (counts == 1).float().mean().item()

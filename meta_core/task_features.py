"""What a task looks like before anything is learned from it: numbers from which to expect how learners will do."""

import math

import numpy as np
import numpy.typing as npt

from meta_core.arrays import Array, in_numpy, squared_distances
from meta_core.types import Support

Counts = npt.NDArray[np.int64]

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


def task_features(support: Support) -> list[float]:
    """The numbers called `NAMES`, of an encoded support set.

    `spectrum` is the share of all directions that the embeddings fill (participation ratio), `separation` the log of
    the variance between the classes over that within, `nearest classes` how close the closest two class means are.
    """
    x = in_numpy(support.x)
    n, d = x.shape
    z = x[np.linspace(0, n - 1, MOST_EXAMPLES).round().astype(int)] if n > MOST_EXAMPLES else x
    outputs = support.ways or support.y.shape[1]
    found = [math.log(n), math.log(d), math.log(outputs), math.log(n / outputs)]
    if support.ways is None:
        return [*found, 0.0, math.log(n / d), _spectrum(z), 0.0, 0.0, 0.0]
    y = support.y.cpu().numpy()
    counts = np.bincount(y, minlength=support.ways)
    return [*found, _imbalance(counts), math.log(n / d), _spectrum(z), *_classes(x, y, counts)]


def _imbalance(counts: Counts) -> float:
    """How far the entropy of the classes is below that of equal ones, in nats."""
    shares = counts / counts.sum()
    return math.log(len(counts)) + float((shares * np.log(shares)).sum())


def _spectrum(z: Array) -> float:
    centred = (z - z.mean(0)).astype(np.float64)
    gram = centred @ centred.T if len(z) <= z.shape[1] else centred.T @ centred
    squared = float(np.square(gram).sum())
    return math.log(float(gram.trace()) ** 2 / squared / len(gram)) if squared > 0 else 0.0


def _classes(x: Array, y: Counts, counts: Counts) -> tuple[float, float, float]:
    """Separation, nearest classes and single shots, of examples [N, D], the class of each, and how many a class has."""
    members = (np.arange(len(counts))[:, None] == y).astype(x.dtype)  # [C, N]
    means = members @ x / counts[:, None].astype(x.dtype)  # [C, D]
    within = float(np.square(x - means[y]).sum()) / (len(x) - len(means)) if len(x) > len(means) else 0.0
    between = float(np.square(means - means.mean(0)).sum()) / max(len(means) - 1, 1)
    separation = min(max(math.log((between + 1e-9) / (within + 1e-9)), -5.0), 8.0) if within > 0 else 0.0
    some = means[:MOST_EXAMPLES]
    apart = squared_distances(some, some)[np.triu_indices(len(some), 1)]
    nearest = min(max(math.log((apart.min() + 1e-9) / (apart.mean() + 1e-9)), -8.0), 0.0)
    return separation, nearest, float((counts == 1).mean())

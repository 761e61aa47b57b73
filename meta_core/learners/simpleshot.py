"""Nearest class mean of centred, normalised embeddings."""

import sys
from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from meta_core.backbone import Backbone
from meta_core.config import Config
from meta_core.learner import Learner, learners
from meta_core.learners.protonet import squared_distances, without_own
from meta_core.types import Categorical, State, Support, Task

MOST_NUMBERS = 4_000_000
"""In the products with all embeddings of those that are left out together."""
FEW = 200
"""Examples up to which it costs less to multiply all with all than to go through the classes."""


class SimpleShotConfig(Config):
    """`scale` is where the learned inverse temperature of the distances, which are at most 4, starts."""

    scale: float = Field(10.0, gt=0, le=1e6, description="start of the inverse temperature of the squared distances")


@learners.register("simpleshot")
class SimpleShot(Learner):
    """Nearest class mean after centring and L2-normalising: CL2N (Wang et al., 2019, arXiv:1911.04623).

    p(c | z) ∝ exp(−s · ‖x − μ_c‖²) with x = (z − m) / ‖z − m‖ and μ_c the mean x of class c. The centre m is the mean
    embedding of the training set, which base models keep (`embeddings.mean` in their weights); where one does not, and
    while meta-training, m is the mean of the support's class means, so that it does not follow the larger classes.
    """

    Config = SimpleShotConfig
    most_left_out = sys.maxsize  # in closed form
    broadcasts = True
    centre: Tensor
    batches_tasks = True

    def __init__(self, backbone: Backbone, config: SimpleShotConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.register_buffer("centre", torch.zeros(backbone.dimension))
        self.log_scale = nn.Parameter(torch.tensor(config.scale).log())

    def take_embedding_mean(self, mean: Tensor) -> None:
        """Centre there."""
        self.centre.copy_(mean)

    def adapt(self, support: Support) -> State:
        """The centre [D], and the class means of what is centred and normalised, [C, D]."""
        centre = self.centre.clone() if self.centre.any() else support.class_means().mean(0)
        normalised = F.normalize(support.x - centre, dim=-1)
        return {"centre": centre, "prototypes": support.mean_by_class(normalised)}

    def predict(self, state: State, z: Tensor) -> Categorical:
        """Softmax over negative squared distances on the sphere."""
        squared = squared_distances(F.normalize(z - state["centre"][..., None, :], dim=-1), state["prototypes"])
        return self._answer(squared)

    def leave_one_out(self, support: Support, left_out: Tensor) -> Categorical:
        """Exact; a centre of the support's own moves with every example that is left out."""
        if not self.centre.any():
            return self._answer(_moved(support, left_out))
        normalised = F.normalize(support.x - self.centre, dim=-1)
        squared = squared_distances(normalised[left_out], support.mean_by_class(normalised))
        return self._answer(without_own(squared, support, left_out))

    def _answer(self, squared: Tensor) -> Categorical:
        return Categorical((-self.log_scale.exp() * squared).log_softmax(-1))


def _moved(support: Support, left_out: Tensor) -> Tensor:
    """Squared distances [M, C] of the left out to the class means of the others, centred without them.

    In double precision: where one is far from all others, small differences of large products are what is left.
    """
    dtype, support = support.x.dtype, replace(support, x=support.x.double())
    means = support.class_means()
    x = support.x - means.mean(0)
    own = support.y[left_out]
    shift = (means[own] - support.x[left_out]) / ((support.counts()[own] - 1) * len(means))[:, None]  # [M, D]
    together = max(1, MOST_NUMBERS // len(x))
    parts = zip(torch.split(left_out, together), torch.split(shift, together), strict=True)
    return torch.cat([_around(support, x, some, moved) for some, moved in parts]).to(dtype)


def _around(support: Support, x: Tensor, left_out: Tensor, shift: Tensor) -> Tensor:
    """The same, from x − s for each shift s [M, D] of the centre, whose lengths and cosines are all that it takes."""
    members, each = support.one_hot(), torch.arange(len(left_out), device=x.device)
    along, size = shift @ x.T, shift.square().sum(-1, keepdim=True)  # [M, N], [M, 1]
    lengths, own = x.square().sum(-1), x[left_out]
    squared = lengths - 2 * along + size  # [M, N]
    inverse = torch.where(squared > torch.finfo(x.dtype).eps * lengths.mean(), squared, torch.inf).rsqrt()
    itself = inverse[each, left_out][:, None]  # [M, 1]
    others = inverse.index_put((each, left_out), torch.zeros_like(itself[:, 0]))
    counts = support.counts() - members[left_out]  # [M, C]
    products = own @ x.T - along[each, left_out][:, None] - along + size  # [M, N]
    cosines = itself * (products * others) @ members / counts
    if len(x) <= FEW:
        alike = (x @ x.T) * (support.y[:, None] == support.y)  # [N, N], products within a class
        total = others @ members
        norms = (others @ alike * others) @ members - 2 * (others * along) @ members * total + size * total.square()
    else:
        norms = torch.stack([_norms(others[:, c], x[c], shift) for c in members.T.bool()], -1)
    return (itself > 0).to(x) - 2 * cosines + norms / counts.square()


def _norms(weights: Tensor, x: Tensor, shift: Tensor) -> Tensor:
    """‖Σ w (x − s)‖² over the examples of a class [n, D], by weights [M, n], [M]."""
    return (weights @ x - weights.sum(-1, keepdim=True) * shift).square().sum(-1)

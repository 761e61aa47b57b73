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
"""Of the embeddings that are centred anew for examples left out together."""


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
        normalised = replace(support, x=F.normalize(support.x - centre, dim=-1), unlabelled=None)
        return {"centre": centre, "prototypes": normalised.class_means()}

    def predict(self, state: State, z: Tensor) -> Categorical:
        """Softmax over negative squared distances on the sphere."""
        squared = squared_distances(F.normalize(z - state["centre"][..., None, :], dim=-1), state["prototypes"])
        return self._answer(squared)

    def leave_one_out(self, support: Support, left_out: Tensor) -> Categorical:
        """Exact; a centre of the support's own moves with every example that is left out."""
        if not self.centre.any():
            together = max(1, MOST_NUMBERS // support.x.numel())
            return self._answer(torch.cat([_moved(support, some) for some in torch.split(left_out, together)]))
        normalised = replace(support, x=F.normalize(support.x - self.centre, dim=-1), unlabelled=None)
        squared = squared_distances(normalised.x[left_out], normalised.class_means())
        return self._answer(without_own(squared, support, left_out))

    def _answer(self, squared: Tensor) -> Categorical:
        return Categorical((-self.log_scale.exp() * squared).log_softmax(-1))


def _moved(support: Support, left_out: Tensor) -> Tensor:
    """Squared distances [M, C] of the left out to the class means of the others, centred without them."""
    members, counts, own = support.one_hot(), support.counts(), support.y[left_out]
    means, x = support.class_means(), support.x[left_out]
    moved = (means[own] - x) / (counts[own] - 1)[:, None]  # [M, D], of the own class's mean
    centres = means.mean(0) + moved / len(means)
    spheres = F.normalize(support.x - centres[:, None], dim=-1)  # [M, N, D]
    itself = spheres[torch.arange(len(own)), left_out]  # [M, D]
    without = F.one_hot(own, len(means)).to(x)  # [M, C]
    totals = members.T @ spheres - without[..., None] * itself[:, None]  # [M, C, D]
    prototypes = totals / (counts - without)[..., None]
    return (itself[:, None] - prototypes).square().sum(-1)

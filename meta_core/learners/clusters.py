"""Prototypes by clustering, of unlabelled examples too."""

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone
from meta_core.config import Config
from meta_core.learner import Learner, learners
from meta_core.learners.protonet import squared_distances
from meta_core.types import Categorical, State, Support, Task


class ClustersConfig(Config):
    """How far the clustering goes; `scale` is where the learned inverse temperature starts."""

    prototypes: int = Field(3, ge=1, le=100, description="most prototypes of a class; one unless that does not fit")
    steps: int = Field(3, ge=1, le=100, description="steps of soft k-means")
    scale: float = Field(4.0, gt=0, le=1e6, description="inverse temperature, in units of the spread of class means")


@learners.register("clusters")
class Clusters(Learner):
    """Nearest of the prototypes that soft k-means finds among labelled and unlabelled examples (arXiv:1803.00676).

    p(c | z) ∝ exp(−s · min_{k of c} ‖z − p_k‖² / ρ²), with ρ² the mean squared distance of the class means from their
    centre, so that s means the same for every embedding. Prototypes start at the class means; a step moves each to the
    mean of all examples by their responsibilities

        r_nk ∝ exp(−s · ‖z_n − p_k‖² / ρ²),

    over the prototypes of its class for a labelled example, over all for an unlabelled one. As in infinite mixture
    prototypes (arXiv:1902.04552) a class may have several and its nearest one counts. Those open one where an example
    is farther than a threshold from the rest, in the order they come; here it is opened at the farthest of the
    labelled examples that are nearer to another class, which needs no threshold and no order. With one prototype
    a class and nothing unlabelled this is `protonet` with scale s / ρ².
    """

    Config = ClustersConfig
    config: ClustersConfig
    uses_unlabelled = True

    def __init__(self, backbone: Backbone, config: ClustersConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.log_scale = nn.Parameter(torch.tensor(config.scale).log())

    def adapt(self, support: Support) -> State:
        """K prototypes [K, D], the class each belongs to [K], and s / ρ²."""
        means = support.class_means()
        spread = (means - means.mean(0)).square().sum(-1).mean()
        sharpness = self.log_scale.exp() / torch.where(spread > 0, spread, torch.ones_like(spread))
        owner = torch.arange(len(means), device=means.device)
        prototypes = self._refined(means, owner, support, sharpness)
        for _ in range(self.config.prototypes - 1):
            extra = misfits(prototypes, owner, support)
            if not len(extra):
                break
            owner = torch.cat([owner, support.y[extra]])
            prototypes = self._refined(torch.cat([prototypes, support.x[extra]]), owner, support, sharpness)
        return {"prototypes": prototypes, "owner": owner, "sharpness": sharpness}

    def predict(self, state: State, z: Tensor) -> Categorical:
        """Softmax over the negative squared distance to the nearest prototype of each class."""
        squared = squared_distances(z, state["prototypes"])  # [Q, K]
        return Categorical((-state["sharpness"] * nearest(squared, state["owner"])).log_softmax(-1))

    def _refined(self, prototypes: Tensor, owner: Tensor, support: Support, sharpness: Tensor) -> Tensor:
        """The prototypes [K, D] after the steps of soft k-means."""
        unlabelled = support.x[:0] if support.unlabelled is None else support.unlabelled
        x = torch.cat([support.x, unlabelled])  # [N + U, D]
        foreign = torch.cat([support.y[:, None] != owner, owner.new_zeros(len(unlabelled), len(owner)).bool()])
        for _ in range(self.config.steps):
            logits = -sharpness * squared_distances(x, prototypes)
            shares = logits.masked_fill(foreign, -torch.inf).softmax(-1)  # [N + U, K]
            mass = shares.sum(0)[:, None]
            moved = shares.T @ x / mass.clamp(min=torch.finfo(x.dtype).tiny)
            prototypes = torch.where(mass > 0, moved, prototypes)
        return prototypes


def nearest(squared: Tensor, owner: Tensor) -> Tensor:
    """Smallest of the distances [Q, K] to the prototypes of each class, [Q, C]."""
    empty = squared.new_full((len(squared), int(owner.max()) + 1), torch.inf)
    return empty.scatter_reduce(1, owner.expand(len(squared), -1), squared, "amin")


@torch.no_grad()
def misfits(prototypes: Tensor, owner: Tensor, support: Support) -> Tensor:
    """Of each class the labelled example farthest from its prototypes, among those nearer to another class's."""
    squared = nearest(squared_distances(support.x, prototypes), owner)  # [N, C]
    members = support.one_hot().bool()
    own = squared[members]  # [N]
    misplaced = own > squared.masked_fill(members, torch.inf).amin(-1)
    distance = torch.where(misplaced, own, -torch.ones_like(own))[:, None].where(members, -torch.ones_like(squared))
    farthest, index = distance.max(0)  # [C]
    return index[farthest >= 0]

"""Prototypical networks."""

import sys

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone
from meta_core.config import Config
from meta_core.learner import Learner, learners
from meta_core.types import Categorical, State, Support, Task


class ProtoNetConfig(Config):
    """`scale` is where the learned inverse temperature of the distances starts."""

    scale: float = Field(1.0, gt=0, le=1e6, description="inverse temperature of the squared distances")


@learners.register("protonet")
class ProtoNet(Learner):
    """Nearest class mean in embedding space (Snell et al., 2017, arXiv:1703.05175).

    p(c | z) ∝ exp(−s · ‖z − μ_c‖²) with a learned scale s.
    """

    Config = ProtoNetConfig
    broadcasts = True
    most_left_out = sys.maxsize  # in closed form
    batches_tasks = True

    def __init__(self, backbone: Backbone, config: ProtoNetConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.log_scale = nn.Parameter(torch.tensor(config.scale).log())

    def adapt(self, support: Support) -> State:
        """Class means, [C, D]."""
        return {"prototypes": support.class_means()}

    def predict(self, state: State, z: Tensor) -> Categorical:
        """Softmax over negative squared distances."""
        return self._answer(squared_distances(z, state["prototypes"]))

    def leave_one_out(self, support: Support, left_out: Tensor) -> Categorical:
        """Exact."""
        prototypes = self.adapt(support)["prototypes"]
        squared = squared_distances(support.x[left_out], prototypes)  # [M, C]
        return self._answer(without_own(squared, support, left_out))

    def _answer(self, squared: Tensor) -> Categorical:
        return Categorical((-self.log_scale.exp() * squared).log_softmax(-1))


def squared_distances(z: Tensor, centres: Tensor) -> Tensor:
    """Squared Euclidean distances [..., Q, C] between the rows of [..., Q, D] and [..., C, D].

    Written as differences: the expanded form loses the digits that tell near neighbours apart.
    """
    return (z[..., :, None, :] - centres[..., None, :, :]).square().sum(-1)  # [..., Q, C]


def without_own(squared: Tensor, support: Support, left_out: Tensor) -> Tensor:
    """Squared distances [M, C] of support examples to class means, as they are to the means of the others.

    Moving the mean of an example's own class away from it scales that one distance by (n/(n−1))².
    """
    own = support.y[left_out]
    n = support.counts()[own]  # [M]
    factor = torch.ones_like(squared).scatter(1, own[:, None], (n / (n - 1)).square()[:, None].to(squared))
    return squared * factor

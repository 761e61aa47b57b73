"""Matching networks."""

import sys

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from meta_core.backbone import Backbone
from meta_core.config import Config
from meta_core.learner import Learner, learners
from meta_core.types import Categorical, State, Support, Task


class MatchingConfig(Config):
    """`scale` is where the learned inverse temperature of the cosines starts; without one the attention is flat."""

    scale: float = Field(30.0, gt=0, le=1e6, description="start of the inverse temperature of the cosines")


@learners.register("matching")
class Matching(Learner):
    """Attention over the support examples (Vinyals et al., 2016, arXiv:1606.04080).

    p(c | z) = Σ_{n: y_n = c} a_n with a = softmax_n(t · cos(z, z_n)) and a learned inverse temperature t; the paper has
    t = 1. Without its full-context embeddings, so that an example is encoded alone.
    """

    Config = MatchingConfig
    most_left_out = sys.maxsize  # in closed form
    batches_tasks = True

    def __init__(self, backbone: Backbone, config: MatchingConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.log_scale = nn.Parameter(torch.tensor(config.scale).log())

    def adapt(self, support: Support) -> State:
        """Directions of the support [N, D] and which class each belongs to, [N, C]."""
        return {"keys": F.normalize(support.x, dim=-1), "members": support.one_hot().bool()}

    def predict(self, state: State, z: Tensor) -> Categorical:
        """Attention of each query, summed by class."""
        return Categorical(by_class(self._attention(state, z), state["members"]))

    def leave_one_out(self, support: Support, left_out: Tensor) -> Categorical:
        """Exact: an example does not attend to itself."""
        state = self.adapt(support)
        own = F.one_hot(left_out, len(support)).bool()  # [M, N]
        attention = self._attention(state, support.x[left_out]).masked_fill(own, -torch.inf)
        return Categorical(by_class(attention, state["members"]))

    def _attention(self, state: State, z: Tensor) -> Tensor:
        return self.log_scale.exp() * F.normalize(z, dim=-1) @ state["keys"].T  # [Q, N]


def by_class(logits: Tensor, members: Tensor) -> Tensor:
    """Log-probabilities [Q, C] of the classes whose `members` [N, C] have the logits [Q, N]."""
    # In double precision for its range: a class may be farther from the nearest example than a float's exponent tells.
    shares = (logits - logits.amax(-1, keepdim=True)).double().exp() @ members.double()  # [Q, C]
    return shares.clamp_min(torch.finfo(torch.double).tiny).log().log_softmax(-1).to(logits)

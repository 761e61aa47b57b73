"""Reptile: move towards what each task's training arrives at."""

import torch
from torch import Tensor

from meta_core.inner_loop import DescentConfig, HeadConfig, WholeNetwork
from meta_core.learner import learners
from meta_core.types import Episode, Support


class ReptileConfig(DescentConfig, HeadConfig):
    """The inner loop, and what the head sees."""


@learners.register("reptile")
class Reptile(WholeNetwork):
    """θ ← θ + ε(θ_k − θ), with θ_k what k inner steps make of θ (Nichol et al., 2018, arXiv:1803.02999).

    While meta-training the inner steps see support and queries alike: the paper trains with more shots than it is
    tested with, and has no queries. They are plain gradient descent, not the paper's Adam with β₁ = 0. ε is the rate of
    meta-training: the paper's falls to zero along a line, `schedule=linear`.
    """

    Config = ReptileConfig
    first_order = "the meta-gradient is θ − θ_k by definition, which is the slope of no loss"

    def meta_loss(self, episode: Episode) -> Tensor:
        """The negative log-likelihood of the queries, with a gradient that is θ − θ_k for all that was descended."""
        seen = episode.support
        everything = Support(torch.cat([seen.x, episode.x]), torch.cat([seen.y, episode.y]), seen.ways)
        with torch.no_grad():
            state, end = self.adapt(seen), self.adapt(everything)
        start = self.start(seen)
        towards = torch.stack([(start[name] * (start[name] - end[name]).detach()).sum() for name in start]).sum()
        return self.predict(state, episode.x).nll(episode.y).mean() + towards - towards.detach()

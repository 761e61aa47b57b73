"""Model-agnostic meta-learning."""

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone
from meta_core.config import MADE_WITH_THE_WEIGHTS
from meta_core.inner_loop import NetworkConfig, WholeNetwork
from meta_core.learner import ParameterGroup, learners
from meta_core.types import Episode, State, Task


class MAMLConfig(NetworkConfig):
    """The inner loop, and what MAML++ adds to it."""

    head_rate: float | None = Field(None, gt=0, le=100, description="learning rate of the head; null: that of the body")
    layer_rates: int = Field(
        0,
        ge=0,
        le=100,
        description="meta-learn a rate for each tensor at each of this many steps (the last serves later ones)",
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
    )
    multi_step: float = Field(
        0.0, ge=0, le=1, description="share of the meta-loss spread evenly over all inner steps, not on the last alone"
    )
    multi_step_until: float = Field(
        0.0, ge=0, le=1, description="part of meta-training in which that share falls to zero along a line; 0: it stays"
    )


@learners.register("maml")
class MAML(WholeNetwork):
    """A start from which few gradient steps make a good network of the task (Finn et al., 2017, arXiv:1703.03400).

    The whole network moves, and the state is all of its adapted weights; the head is that of UNICORN-MAML (`Head`).
    Of MAML++ (arXiv:1810.09502) it has the rates per tensor and step, α_kl = rate · (1 + δ_kl), without weight decay,
    and the multi-step loss, Σ_k v_k · L(θ_k), whose v move to the last step in the first part of the training.
    """

    Config = MAMLConfig
    config: MAMLConfig

    def __init__(self, backbone: Backbone, config: MAMLConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.share = config.multi_step
        if config.layer_rates:
            self.leaves = [*self.body(), "head.weight", "head.bias"]
            self.rates = nn.Parameter(torch.zeros(config.layer_rates, len(self.leaves)))

    def rate(self, step: int, name: str) -> Tensor | float:
        """That of the tensor and step, or the same for all."""
        rate = self.config.rate
        if self.config.head_rate is not None and name.startswith("head."):
            rate = self.config.head_rate
        if not self.config.layer_rates:
            return rate
        row = min(step, self.config.layer_rates - 1)
        return rate * (1 + self.rates[row, self.leaves.index(name)])

    def parameter_groups(self) -> list[ParameterGroup]:
        """The learned rates, if any, without weight decay."""
        return [ParameterGroup([self.rates])] if self.config.layer_rates else []

    def hear_progress(self, done: float) -> None:
        """The share of the earlier steps in the meta-loss falls."""
        if self.config.multi_step_until:
            self.share = self.config.multi_step * max(0.0, 1 - done / self.config.multi_step_until)

    def meta_loss(self, episode: Episode) -> Tensor:
        """Mean negative log-likelihood of the queries after the last step, or after each of them, weighted."""
        if not self.share:
            return super().meta_loss(episode)
        support, path = episode.support, list[State]()
        self.descend(support, path.append)
        losses = torch.stack(
            [self.predict(self.framed(state, support), episode.x).nll(episode.y).mean() for state in path]
        )  # [steps]
        return self.share * losses.mean() + (1 - self.share) * losses[-1]

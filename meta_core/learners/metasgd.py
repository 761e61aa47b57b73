"""Meta-SGD: the direction and the size of each inner step are learned."""

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone
from meta_core.config import MADE_WITH_THE_WEIGHTS
from meta_core.inner_loop import BODY, NetworkConfig, WholeNetwork
from meta_core.learner import ParameterGroup, learners
from meta_core.types import Task


class MetaSGDConfig(NetworkConfig):
    """Several steps by default, not the paper's one: from a head of zeros the first one moves nothing but the head."""

    rate: float = Field(
        0.1, gt=0, le=100, description="where every learned rate starts", json_schema_extra=MADE_WITH_THE_WEIGHTS
    )
    pace: float = Field(
        10.0, gt=0, le=1000, description="meta-learning rate of the rates, in units of that of the weights"
    )


@learners.register("metasgd")
class MetaSGD(WholeNetwork):
    """MAML with a learned rate for each weight: θ′ = θ − α ∘ ∇L(θ) (Li et al., 2017, arXiv:1707.09835).

    α = rate · (1 + δ) and δ, starting at zero, is the meta-parameter: α may turn negative, has a meta-learning rate of
    its own, and no weight decay. The head's rates [D] are shared by its classes or targets, as its start is.
    """

    Config = MetaSGDConfig
    config: MetaSGDConfig

    def __init__(self, backbone: Backbone, config: MetaSGDConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        body = {key(BODY + name): torch.zeros_like(value) for name, value in backbone.named_parameters()}
        head = {key("head.weight"): torch.zeros(backbone.dimension), key("head.bias"): torch.zeros(())}
        self.deltas = nn.ParameterDict(body | head)

    def rate(self, step: int, name: str) -> Tensor:
        """A rate for each element of the leaf."""
        delta: Tensor = self.deltas[key(name)]
        return self.config.rate * (1 + delta)

    def parameter_groups(self) -> list[ParameterGroup]:
        """The rates, at their own pace and without weight decay."""
        return [ParameterGroup(list(self.deltas.values()), self.config.pace)]


def key(leaf: str) -> str:
    """The name of a leaf as a ParameterDict can keep it."""
    return leaf.replace(".", "/")

"""Cosine classifier, trained on each task."""

from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from meta_core.backbone import Backbone
from meta_core.inner_loop import FIRST_ORDER, InnerLoopConfig, descend
from meta_core.learner import Learner, learners
from meta_core.types import Categorical, State, Support, Task


class CosineConfig(InnerLoopConfig):
    """How the class vectors are trained on a task; `scale` is where the learned factor of the cosines starts."""

    steps: int = Field(20, ge=1, le=1000, description="gradient steps on the support")
    scale: float = Field(30.0, gt=0, le=1e6, description="start of the factor of the cosines")


@learners.register("cosine")
class Cosine(Learner):
    """Baseline++: a frozen body and, for each task, class vectors trained by gradient (arXiv:1904.04232).

    p(c | z) ∝ exp(s · cos(z, w_c)), W by steps down the cross-entropy of the support. The paper starts W at random and
    takes mini-batches; here W starts at the class means of the normalised embeddings and every step sees all
    examples, so that adapting is deterministic.
    """

    Config = CosineConfig
    broadcasts = True
    config: CosineConfig
    batches_tasks = True

    def __init__(self, backbone: Backbone, config: CosineConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.log_scale = nn.Parameter(torch.tensor(config.scale).log())
        self.first_order = FIRST_ORDER if config.first_order else ""

    def adapt(self, support: Support) -> State:
        """Class vectors [C, D]; their length means nothing."""
        normalised = replace(support, x=F.normalize(support.x, dim=-1), unlabelled=None)
        start = {"weight": normalised.class_means()}
        return descend(lambda leaves: F.cross_entropy(self._logits(leaves, support.x), support.y), start, self.config)

    def predict(self, state: State, z: Tensor) -> Categorical:
        """Softmax over scaled cosines."""
        return Categorical(self._logits(state, z).log_softmax(-1))

    def _logits(self, state: State, z: Tensor) -> Tensor:
        return self.log_scale.exp() * F.normalize(z, dim=-1) @ F.normalize(state["weight"], dim=-1).mT  # [Q, C]

"""Attentive neural processes."""

import math

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from meta_core.backbone import Backbone
from meta_core.config import MADE_WITH_THE_WEIGHTS
from meta_core.learner import learners
from meta_core.learners.cnp import CNP, CNPConfig
from meta_core.types import Prediction, State, Support, Task


class ANPConfig(CNPConfig):
    """A conditional neural process, and the size of its attention."""

    heads: int = Field(
        4, ge=1, le=64, description="of the attention; a divisor of `width`", json_schema_extra=MADE_WITH_THE_WEIGHTS
    )
    head_width: int = Field(16, ge=1, le=512, json_schema_extra=MADE_WITH_THE_WEIGHTS)

    @field_validator("heads")
    @classmethod
    def _divides(cls, heads: int, info: ValidationInfo) -> int:
        if (width := info.data.get("width", heads)) % heads:
            raise ValueError(f"heads must divide the width {width}")
        return heads


@learners.register("anp")
class ANP(CNP):
    """A neural process whose queries look at the examples that matter to them (arXiv:1901.05761).

    The mean of `cnp` becomes an attention of the query z, with H heads of width K that each weigh their own part of
    what was read; for a target t over all examples, for a class c over its own:

        r_t(z) = [Σ_n a_hn(z) · h(z_n, y_nt)_h]_{h = 1…H},    a_h(z) = softmax_n(q_h(z) · k_h(z_n) / √K)

    The paper adds a latent variable, which a deterministic answer has no use for. Keys start small, so that training
    starts at the mean.
    """

    Config = ANPConfig
    config: ANPConfig

    def __init__(self, backbone: Backbone, config: ANPConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.batches_tasks = task == "regression"
        inner = config.heads * config.head_width
        self.query = nn.Linear(backbone.dimension, inner)
        self.key = nn.Linear(backbone.dimension, inner, bias=False)  # a bias moves all examples alike: no gradient
        with torch.no_grad():
            self.key.weight.mul_(0.1)

    def adapt(self, support: Support) -> State:
        """Keys [N, H·K] and what was read, [N, R] with labels [N] or [N, T, R] with location and scale, each [T]."""
        keys = self.key(support.x)
        if support.ways is not None:
            return {"keys": keys, "read": self.reader(support.x), "labels": support.y}
        location, scale = self._location_and_scale(support.y)
        y = ((support.y - location) / scale)[..., None]  # [N, T, 1]
        return {"keys": keys, "read": self.reader(support.x[:, None], y), "location": location, "scale": scale}

    def predict(self, state: State, z: Tensor) -> Prediction:
        """Each query with the representations it attends to."""
        return super().predict(state | {"representation": self._attend(state, z)}, z)

    def _attend(self, state: State, z: Tensor) -> Tensor:
        """Representations around each query, [Q, T or C, R]."""
        logits = torch.einsum("qhk,nhk->qhn", self._heads(self.query(z)), self._heads(state["keys"]))
        logits, read = logits / math.sqrt(self.config.head_width), self._heads(state["read"])
        if self.task == "regression":
            return torch.einsum("qhn,nthr->qthr", logits.softmax(-1), read).flatten(2)
        members = F.one_hot(state["labels"]).to(z)  # [N, C]
        weights = softmax_within(logits, state["labels"], members.shape[1])
        return torch.einsum("qhn,nc,nhr->qchr", weights, members, read).flatten(2)

    def _heads(self, z: Tensor) -> Tensor:
        return z.reshape(*z.shape[:-1], self.config.heads, -1)


def softmax_within(logits: Tensor, labels: Tensor, ways: int) -> Tensor:
    """Softmax of [..., N] over the examples of each class by themselves, so that the weights of a class sum to 1."""
    shape, index = (*logits.shape[:-1], ways), labels.expand_as(logits)
    top = logits.new_full(shape, -math.inf).scatter_reduce(-1, index, logits.detach(), "amax")
    positive = (logits - top.gather(-1, index)).exp()
    return positive / logits.new_zeros(shape).scatter_add(-1, index, positive).gather(-1, index)

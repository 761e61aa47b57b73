"""Fine-tuning a pretrained body on the support, then logistic regression on what it has become."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from meta_core.learner import learners
from meta_core.learners.finetune import folds
from meta_core.learners.logistic import regress
from meta_core.learners.ridge import linear
from meta_core.low_rank import LowRank, LowRankConfig
from meta_core.types import Categorical, State, Support

WARM_UP = 0.1
"""Share of the steps over which the rate rises."""
WEIGHT_DECAY = 0.01


class SetFitConfig(LowRankConfig):
    """How the body moves, and the head that is fitted afterwards."""

    rank: int = Field(8, ge=1, le=256, description="of each layer's change")
    body: Literal["last", "all"] = Field("last", description="which layers change: those of the last block, or all")
    epochs: int = Field(3, ge=1, le=100, description="times that every example is seen")
    batch: int = Field(64, ge=2, le=1024, description="examples of a step")
    rate: float = Field(1e-3, gt=0, le=1, description="highest learning rate; it rises from zero and falls to it")
    scale: float = Field(10.0, gt=0, le=1e3, description="factor of the cosines in the loss")
    smoothing: float = Field(0.1, ge=0, lt=1, description="share of every label that is spread over all classes")
    inverse_penalty: float = Field(30.0, gt=0, le=1e9, description="C of the head: the larger, the closer to examples")
    folds: int = Field(3, ge=2, le=16, description="parts of the support held out in turn to score the model")


@learners.register("setfit")
class SetFit(LowRank):
    """Low-rank fine-tuning of a body, then a head on its embeddings: after SetFit (arXiv:2209.11055).

    Where SetFit contrasts pairs, here class vectors w_c, which start at the class means, are moved together with the
    body, by AdamW in mini-batches, down the cross-entropy of p(c | z) ∝ exp(s · cos(z, w_c)). They are then dropped,
    and multinomial logistic regression is fitted to the moved embeddings, scaled to length 1. The state is the
    factors U, V of each layer, and the weights of the head. A body without layers is left as it is.

    Examples are left out a third at a time (`folds`), each part answered by a body that never saw it: scores cost as
    much as two more adapts.
    """

    Config = SetFitConfig
    config: SetFitConfig
    without_gradient = "its steps are those of an optimiser, through which nothing is differentiated"
    most_left_out: ClassVar[int] = sys.maxsize  # a fold at a time

    def adapt(self, support: Support) -> State:
        """Factors, and weights [D + 1, C] of embedding and constant; not differentiable."""
        factors = self._tuned(support) if self.layers else {}
        with torch.no_grad():
            moved = replace(support, x=self._sphere(factors, support.x), unlabelled=None)
            penalty = torch.tensor(1 / self.config.inverse_penalty)
            return factors | {"weight": regress(moved, penalty.to(moved.x))}

    def predict(self, state: State, z: Tensor) -> Categorical:
        """Softmax of a linear map of the moved embeddings."""
        factors = {name: value for name, value in state.items() if name != "weight"}
        return Categorical(linear(state["weight"], self._sphere(factors, z)).log_softmax(-1))

    @torch.no_grad()
    def leave_one_out(self, support: Support, left_out: Tensor) -> Categorical:
        """Answers by what was adapted without the fold that an example is in."""
        held = folds(self._sphere({}, support.x), support, self.config.folds)  # [F, N]
        told = torch.zeros(len(support), int(support.ways or 0)).to(support.x)
        for fold in held:
            state = self.adapt(replace(support, x=support.x[~fold], y=support.y[~fold]))
            told[fold] = self.predict(state, support.x[fold]).log_probabilities.to(told)
        return Categorical(told[left_out])

    def _sphere(self, factors: State, h: Tensor) -> Tensor:
        """Embeddings of length 1, [N, D]."""
        return F.normalize(self.embed(factors, h), dim=-1)

    @torch.enable_grad()
    def _tuned(self, support: Support) -> State:
        """The factors of every layer after the last step."""
        h = support.x.detach()
        with torch.no_grad():
            z = self._sphere({}, h)
            class_vectors = replace(support, x=z, unlabelled=None).class_means()
        factors = {name: value.detach().clone().requires_grad_() for name, value in self.factors().items()}
        moving = [*factors.values(), class_vectors.requires_grad_()]
        batches = list(self._batches(z))
        optimiser = torch.optim.AdamW(moving, self.config.rate, weight_decay=WEIGHT_DECAY)
        for step, batch in enumerate(batches):
            optimiser.param_groups[0]["lr"] = self.config.rate * _share(step, len(batches))
            cosines = self._sphere(factors, h[batch]) @ F.normalize(class_vectors, dim=-1).T
            loss = F.cross_entropy(self.config.scale * cosines, support.y[batch], label_smoothing=self.config.smoothing)
            for leaf, slope in zip(moving, torch.autograd.grad(loss, moving), strict=True):
                leaf.grad = slope
            optimiser.step()
        return {name: value.detach() for name, value in factors.items()}

    def _batches(self, z: Tensor) -> Iterator[Tensor]:
        """Positions of the examples of each step: drawn by content, so that the order they came in does not matter."""
        place = z @ torch.arange(1, z.shape[1] + 1).to(z).cos()  # [N]: any projection would do
        order = place.argsort().cpu()
        rng = torch.Generator().manual_seed(0)
        for _ in range(self.config.epochs):
            yield from torch.split(order[torch.randperm(len(order), generator=rng)], self.config.batch)


def _share(step: int, steps: int) -> float:
    """Of the highest rate."""
    return min(1.0, (step + 1) / (WARM_UP * steps)) * (1 - step / steps)

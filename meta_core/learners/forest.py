"""Random forests on embeddings or raw columns."""

import sys
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from meta_core.backbone import Backbone
from meta_core.errors import InvalidParameter
from meta_core.learner import Learner, learners
from meta_core.learners.tree import (
    NO_GRADIENT,
    Array,
    TreeConfig,
    canonical,
    leaves,
    scikit_learn,
    stored,
    table,
    variance_of,
)
from meta_core.types import Categorical, Episode, Gaussian, Prediction, State, Support, Task


class ForestConfig(TreeConfig):
    """How many trees, and how far each grows."""

    trees: int = Field(100, ge=1, le=2000)


@learners.register("forest")
class Forest(Learner):
    """The mean of many decision trees, each grown on a bootstrap sample, fitted by scikit-learn.

    B trees of which the share p_c says c answer (B p_c + 1) / (B + C). Left out is what the trees say that did not see
    an example (out of bag); its mean squared error is the variance of a regression. Meta-training is refused: there
    is no gradient.
    """

    Config = ForestConfig
    config: ForestConfig
    tasks = frozenset({"classification", "regression"})
    most_left_out = sys.maxsize  # out of bag
    without_gradient = NO_GRADIENT

    def __init__(self, backbone: Backbone, config: ForestConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.estimator = "RandomForestClassifier" if task == "classification" else "RandomForestRegressor"

    def adapt(self, support: Support) -> State:
        """The table of nodes with the shares of classes [M, C] or means [M, T]; for regression the variance [T]."""
        return self._fit(support)[0]

    def predict(self, state: State, z: Tensor) -> Prediction:
        """The mean of what all trees say."""
        votes = state["values"][leaves(state, z)]  # [Q, B, C or T]
        return self._answer(state, votes.sum(1), votes.shape[1] * torch.ones_like(votes[:, 0, :1]))

    def leave_one_out(self, support: Support, left_out: Tensor) -> Prediction:
        """Out of bag: the mean over the trees that did not see the example."""
        state, total, trees = self._fit(support)
        if support.ways is None:  # as if one more tree said the mean of all, for when all have seen it
            total, trees = total + support.y.mean(0), trees + 1
        return self._answer(state, total[left_out], trees[left_out])

    def meta_loss(self, episode: Episode) -> Tensor:
        """Raises `InvalidParameter`: this cannot be meta-trained."""
        raise InvalidParameter(f"learner {self.name} cannot be meta-trained: {self.without_gradient}")

    def _answer(self, state: State, total: Tensor, trees: Tensor) -> Prediction:
        """From the sum [Q, C or T] of what a number of trees [Q, 1] say."""
        if self.task == "classification":
            return Categorical(((total + 1) / (trees + total.shape[1])).log())
        return Gaussian(total / trees, state["variance"].expand_as(total))

    def _fit(self, support: Support) -> tuple[State, Tensor, Tensor]:
        """The state; for each example, of the trees that did not see it, the sum [N, C or T] and the number [N, 1]."""
        x, y, order = canonical(support)
        forest = self._grown(x, y)
        state = table(forest.estimators_)
        unseen = torch.ones(len(x), self.config.trees, 1, dtype=torch.float64)  # [N, B, 1]
        for i, sample in enumerate(forest.estimators_samples_):
            unseen[order[sample], i] = 0
        values = state["values"][leaves(state, support.x.detach().cpu())]  # [N, B, C or T]
        total, trees = (values * unseen).sum(1), unseen.sum(1)
        if support.ways is None:
            target = support.y.cpu().double()
            wrong = (total + target.mean(0)) / (trees + 1) - target
            state["variance"] = (wrong.square().sum(0) + variance_of(target)) / (len(x) + 1)
        return stored(state, support.x), total.to(support.x), trees.to(support.x)

    def _grown(self, x: Array, y: Array) -> Any:
        make = getattr(scikit_learn("ensemble", self.name), self.estimator)
        settings = self.config
        forest = make(settings.trees, max_depth=settings.depth, min_samples_leaf=settings.least, random_state=0)
        return forest.fit(x, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y)

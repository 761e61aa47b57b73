"""The mean of what several learners say."""

from collections.abc import Sequence

import torch
from torch import Tensor

from meta_core.learner import learners
from meta_core.members import Combination, mixed
from meta_core.types import Prediction, State, Support


@learners.register("average")
class Average(Combination):
    """Several learners on the same embeddings, of equal weight: the linear opinion pool (Stone, 1961).

    p(y | z) = 1/K Σ_k p_k(y | z); normal distributions become the one with the mixture's mean and variance.
    """

    def adapt(self, support: Support) -> State:
        """The members' states, prefixed by their positions."""
        return self.adapt_members(support)

    def mix(self, state: State, answers: Sequence[Prediction]) -> Prediction:
        """The mean of the probabilities."""
        return mixed(answers, torch.full((len(answers),), 1 / len(answers)))

    def left_out_from(self, answers: Sequence[Prediction], y: Tensor) -> Prediction:
        """The same mean."""
        return self.mix({}, answers)

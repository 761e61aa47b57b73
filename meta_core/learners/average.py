"""The mean of what several learners say."""

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

    def predict(self, state: State, z: Tensor) -> Prediction:
        """The mean of the probabilities."""
        return self._mixed(self.ask_members(state, z), z)

    def leave_one_out(self, support: Support, left_out: Tensor) -> Prediction:
        """The mean of what the members say to the left out."""
        return self._mixed([member.leave_one_out(support, left_out) for member in self._each()], support.x)

    def _mixed(self, answers: list[Prediction], z: Tensor) -> Prediction:
        return mixed(answers, torch.full((len(answers),), 1 / len(answers)).to(z))

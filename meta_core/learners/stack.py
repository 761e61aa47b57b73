"""What several learners say, weighted by how well they told the examples left out."""

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from meta_core.backbone import Backbone
from meta_core.calibration import calibrated, calibration_of
from meta_core.learner import learners
from meta_core.members import Combination, MembersConfig, Placed, mixed
from meta_core.quality import sparable
from meta_core.types import Prediction, State, Support, Task

MOST_STEPS, PRECISION = 200, 1e-5
NESTED_STEPS = 10
"""From the weights that all examples make: leaving out a few moves them little."""
FOLDS = 16


class StackConfig(MembersConfig):
    """The members, and how strongly their weights are held together."""

    prior: float = Field(
        4.0, gt=0, le=1e6, description="weight of the belief that all members are equally good, in examples"
    )


@learners.register("stack")
class Stack(Combination):
    """Stacked generalisation by a linear pool (Wolpert, 1992; Yao et al., 2018, arXiv:1704.02030).

    p(y | z) = Σ_k w_k p_k(y | z), each p_k calibrated, with w on the simplex maximising
    Σ_n log Σ_k w_k p_k(y_n | z_n, without n) + (a/K) Σ_k log w_k. Where nothing can be left out all weigh the same.
    """

    Config = StackConfig
    config: StackConfig

    def __init__(
        self, backbone: Backbone, config: StackConfig, task: Task, ready: Sequence[Placed] | None = None
    ) -> None:
        super().__init__(backbone, config, task, ready)
        self.first_order = self.first_order or "weights and calibration of the members are taken as constants"

    def adapt(self, support: Support) -> State:
        """The members' states, prefixed by their positions; their weights and calibrations, each [K]."""
        return self._state(support, *self._told(support, sparable(support, self.most_left_out)))

    def mix(self, state: State, answers: Sequence[Prediction]) -> Prediction:
        """The weighted mean of the calibrated answers."""
        return mixed(_calibrated(answers, state["calibrations"]), state["weights"])

    def left_out_from(self, answers: Sequence[Prediction], y: Tensor) -> Prediction:
        """Mixed by weights learned from the other folds of the left out."""
        told = _calibrated(answers, self._calibrations(answers, y))
        folds = torch.arange(len(y), device=y.device) % min(FOLDS, len(y))
        others = folds != torch.arange(int(folds.max()) + 1, device=y.device)[:, None]  # [G, M]
        likelihood = _likelihood(told, y)
        by_all = pool_weights(likelihood, torch.ones(1, len(y)).to(likelihood), self.config.prior)
        nested = pool_weights(likelihood, others.to(likelihood), self.config.prior, by_all, NESTED_STEPS)
        return mixed(told, nested[folds])

    def weighted(
        self, support: Support, weights: Tensor, calibrations: Tensor, known: Sequence[State | None] = ()
    ) -> State:
        """The members' states, some of them known, with weights and calibrations [K] that somebody else has found."""
        return {**self.adapt_members(support, known), "weights": weights, "calibrations": calibrations}

    def adapt_and_leave_out(self, support: Support, left_out: Tensor) -> tuple[State, Prediction]:
        """Both from the same answers of the members."""
        told = self._told(support, left_out)
        return self._state(support, *told), self.left_out_from(*told)

    def _told(self, support: Support, left_out: Tensor) -> tuple[list[Prediction], Tensor]:
        """The members' answers to the left out, and the truth."""
        if not len(left_out):
            return [], support.y[left_out]
        return self.left_out_by_each(support, left_out), support.y[left_out]

    @torch.no_grad()
    def _state(self, support: Support, answers: Sequence[Prediction], y: Tensor) -> State:
        k = len(self.members)
        weights, calibrations = torch.full((k,), 1 / k).to(support.x), torch.ones(k).to(support.x)
        if answers:
            calibrations = self._calibrations(answers, y)
            likelihood = _likelihood(_calibrated(answers, calibrations), y)
            (weights,) = pool_weights(likelihood, torch.ones(1, len(y)).to(likelihood), self.config.prior).to(weights)
        return self.weighted(support, weights, calibrations)

    def _calibrations(self, answers: Sequence[Prediction], y: Tensor) -> Tensor:
        return torch.tensor([calibration_of(answer, y) for answer in answers]).to(y.device)


def pool_weights(
    likelihood: Tensor, counted: Tensor, prior: float, start: Tensor | None = None, steps: int = MOST_STEPS
) -> Tensor:
    """The weights [G, K] of the likeliest mixtures of K members, by expectation maximisation.

    `likelihood` [M, K] is what each member gave to the truth, up to a factor for each example; `counted` [G, M] says
    which examples count in each of G mixtures. A Dirichlet prior holds the weights together.
    """
    k = likelihood.shape[1]
    even = torch.full((1, k), 1 / k).to(likelihood)
    weights = (even if start is None else start).expand(len(counted), -1)
    total = counted.sum(-1, keepdim=True) + prior  # [G, 1]
    for _ in range(steps):
        shares = counted / (weights @ likelihood.T)  # [G, M]
        moved = (weights * (shares @ likelihood) + prior / k) / total
        still = (moved - weights).abs().max() < PRECISION
        weights = moved
        if still:
            break
    return weights


def _calibrated(answers: Sequence[Prediction], calibrations: Tensor) -> list[Prediction]:
    return [calibrated(answer, c) for answer, c in zip(answers, calibrations, strict=True)]


def _likelihood(answers: Sequence[Prediction], y: Tensor) -> Tensor:
    """Of the truth under each member, [M, K] in float64, the best of each example being 1."""
    nll = torch.stack([answer.nll(y) for answer in answers], -1).double()  # [M, K]
    return (nll.amin(-1, keepdim=True) - nll).exp()

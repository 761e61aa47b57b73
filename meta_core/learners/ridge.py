"""Ridge regression on embeddings."""

import sys
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone
from meta_core.config import Config
from meta_core.learner import Covariance, Learner, learners
from meta_core.types import Categorical, Gaussian, Prediction, State, Support, Task

PENALTIES = (1e-6, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
SCALES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Each twice the one before."""
UNTRIED_PENALTY, UNTRIED_SCALE = 0.1, 8.0
"""What serves when leaving one out says nothing: chosen on one drawing of each of 5 or 20 characters of Omniglot's
training part, as pixels and as embeddings by a body that was trained on other characters."""
LEAST_VARIANCE = 1e-6
"""Of the answers to a regression, as a share of the variance of the targets."""


class RidgeConfig(Config):
    """Where the learned penalty and output scale start; without a penalty every task chooses both."""

    penalty: float | None = Field(
        None, ge=1e-6, le=1e6, description="start of the meta-learned penalty; null: chosen per task by leave-one-out"
    )
    scale: float = Field(8.0, gt=0, le=1e6, description="start of the meta-learned scale of the logits")


class Fit(NamedTuple):
    """Ridge regressions of one task with G penalties: answers to the left out [G, N, K], and what weights are made of.

    That is coordinates [G, M, K] in a basis [D, M], or the weights themselves: few penalties are worth the product.
    """

    left_out: Tensor
    coordinates: Tensor
    basis: Tensor | None = None

    def weight(self, coordinates: Tensor) -> Tensor:
        """The weights [D, K] with coordinates [M, K]."""
        return coordinates if self.basis is None else self.basis @ coordinates


@learners.register("ridge")
class Ridge(Learner):
    """Ridge regression onto ±1 for each class, or onto the targets (R2D2: Bertinetto et al., 2019, arXiv:1805.08136).

    W = argmin ‖XW − Y‖² + λ‖W‖² with X = [z/ρ, 1] and ρ the root mean square of ‖z‖ over the support, so that λ means
    the same for every embedding; logits are s · XW, targets are standardised by the support. λ and s are meta-learned
    or chosen together on a grid by the exact leave-one-out likelihood. R2D2's output bias is left out: it is the same
    for all classes, and the softmax does not see it.
    """

    Config = RidgeConfig
    broadcasts = True
    most_left_out = sys.maxsize  # in closed form
    config: RidgeConfig
    tasks = frozenset({"classification", "regression"})

    def __init__(self, backbone: Backbone, config: RidgeConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.batches_tasks = config.penalty is not None
        if config.penalty is not None:
            self.log_penalty = nn.Parameter(torch.tensor(config.penalty).log())
            if task == "classification":
                self.log_scale = nn.Parameter(torch.tensor(config.scale).log())

    def adapt(self, support: Support) -> State:
        """Weights [D + 1, C or T] of embedding and constant; for regression the variance of the answers, [T]."""
        return self._fit(support)[0]

    def predict(self, state: State, z: Tensor) -> Prediction:
        """A linear map of the queries."""
        return self._answer(state, linear(state["weight"], z))

    def leave_one_out(self, support: Support, left_out: Tensor) -> Prediction:
        """Exact for the penalty and scale of the whole support."""
        state, answers = self._fit(support)
        return self._answer(state, answers[left_out])

    def adapt_and_leave_out(self, support: Support, left_out: Tensor) -> tuple[State, Prediction]:
        """Both from one fit."""
        state, answers = self._fit(support)
        return state, self._answer(state, answers[left_out])

    def covariance(self, support: Support, z: Tensor) -> Covariance:
        """That of X w for weights w of variance 1/λ, in units of the noise: ridge regression is its posterior mean.

        Several targets that chose different penalties share their geometric mean.
        """
        size = root_mean_square(support.x.double().norm(dim=-1, keepdim=True))  # [1]
        x = with_constant(z.double() / size)
        penalty = self._penalty(with_constant(support.x.double() / size), support)
        return Covariance(x @ x.T / penalty, 1.0)

    def _penalty(self, x: Tensor, support: Support) -> Tensor:
        penalties = self._penalties(x)
        if len(penalties) == 1:
            return penalties[0]
        if support.ways is not None:
            fit = ridge(x, 2 * support.one_hot().double() - 1, penalties)
            return penalties[choose(fit.left_out, support)[0]]
        standard = (support.y - support.y.mean(0)).double() / root_mean_square(support.y - support.y.mean(0))
        squared = (standard - onto_targets(x, standard, penalties).left_out).square().mean(1)  # [G, T]
        return penalties[squared.argmin(0)].log().mean().exp()

    def _answer(self, state: State, output: Tensor) -> Prediction:
        if self.task == "classification":
            return Categorical(output.log_softmax(-1))
        return Gaussian(output, state["variance"][..., None, :].expand_as(output))

    def _fit(self, support: Support) -> tuple[State, Tensor]:
        """The state, and the outputs for every support example without it, [N, C or T]."""
        z = support.x.double()
        size = root_mean_square(z.norm(dim=-1, keepdim=True))  # [1]
        x = with_constant(z / size)  # [N, D + 1]
        unscaled = torch.cat([size.reciprocal().expand(x.shape[1] - 1), torch.ones_like(size)])[:, None]  # [D + 1, 1]
        state, answers = (
            self._classify(x, support) if support.ways is not None else self._regress(x, support.y.double())
        )
        state["weight"] = state["weight"] * unscaled
        return {name: value.to(support.x) for name, value in state.items()}, answers.to(support.x)

    def _classify(self, x: Tensor, support: Support) -> tuple[State, Tensor]:
        fit = ridge(x, 2 * support.one_hot().double() - 1, self._penalties(x))
        learned = self.config.penalty is not None
        choice, scale = (0, self.log_scale.exp()) if learned else choose(fit.left_out.detach(), support)
        return {"weight": fit.weight(fit.coordinates[choice]) * scale}, fit.left_out[choice] * scale

    def _regress(self, x: Tensor, y: Tensor) -> tuple[State, Tensor]:
        mean = y.mean(0)  # [T]
        deviation = root_mean_square(y - mean)
        standard = (y - mean) / deviation
        fit = onto_targets(x, standard, self._penalties(x))
        squared = (standard - fit.left_out).square().mean(1)  # [G, T]
        variance, choice = (squared if len(y) > 1 else torch.ones_like(squared)).min(0)  # a penalty for each target
        weight = fit.weight(pick(fit.coordinates, choice)) * deviation  # [D + 1, T]
        weight = torch.cat([weight[:-1], weight[-1:] + mean])
        answers = pick(fit.left_out, choice) * deviation + mean
        return {"weight": weight, "variance": variance.clamp(min=LEAST_VARIANCE) * deviation.square()}, answers

    def _penalties(self, x: Tensor) -> Tensor:
        """Those to try, [G]."""
        if self.config.penalty is not None:
            return self.log_penalty.exp()[None].to(x)
        nothing_left = self.task == "regression" and len(x) == 1
        return torch.tensor((UNTRIED_PENALTY,) if nothing_left else PENALTIES).to(x)


def ridge(x: Tensor, y: Tensor, penalties: Tensor) -> Fit:
    """Ridge regression of `y` [N, K] on `x` [N, D] for each of `penalties` [G], in the smaller of its two forms.

    A hat matrix H gives what each example would be answered if it were left out: y_i − (y − Hy)_i / (1 − H_ii).
    Several penalties share one eigendecomposition, unless a gradient is wanted, which that has not where two
    eigenvalues are the same.
    """
    if len(penalties) > 1 and not x.requires_grad:
        return _by_spectrum(x, y, penalties)
    if len(x) <= x.shape[1]:
        inverse = inverses(x @ x.T, penalties)  # [G, N, N]; I − H = λ · inverse
        dual = inverse @ y
        return Fit(y - dual / inverse.diagonal(dim1=1, dim2=2)[..., None], dual, x.T)
    inverse = inverses(x.T @ x, penalties)  # [G, D, D]
    weight = inverse @ (x.T @ y)
    leverage = (x @ inverse * x).sum(-1, keepdim=True)  # [G, N, 1]
    return Fit(y - (y - x @ weight) / (1 - leverage), weight)


def onto_targets(x: Tensor, y: Tensor, penalties: Tensor) -> Fit:
    """Ridge regression of targets [N, T] less their mean, of which what is left out is no part.

    Without the mean of all, example i would be answered f_i(y). With that of the others, m = −y_i / (N − 1), it is
    m + f_i(y − m) = f_i(y) + m (1 − f_i(1)), f_i being linear.
    """
    fit = ridge(x, torch.cat([y, torch.ones_like(y[:, :1])], -1), penalties)
    others = -y / max(len(y) - 1, 1)
    left_out = fit.left_out[..., :-1] + others * (1 - fit.left_out[..., -1:])
    return Fit(left_out, fit.coordinates[..., :-1], fit.basis)


def _by_spectrum(x: Tensor, y: Tensor, penalties: Tensor) -> Fit:
    """With gram matrix V diag(s) Vᵀ the inverse for λ is V diag(1 / (s + λ)) Vᵀ."""
    dual = len(x) <= x.shape[1]
    values, vectors = torch.linalg.eigh(x @ x.T if dual else x.T @ x)  # [M], [M, M]
    shrunk = 1 / (values.clamp(min=0) + penalties[:, None])  # [G, M]
    if dual:
        solved = _onto_each(vectors, shrunk[..., None] * (vectors.T @ y))  # [G, N, K]
        return Fit(y - solved / (shrunk @ vectors.T.square())[..., None], solved, x.T)
    turned = x @ vectors  # [N, M]
    coordinates = shrunk[..., None] * (turned.T @ y)  # [G, M, K]
    leverage = (shrunk @ turned.T.square())[..., None]  # [G, N, 1]
    return Fit(y - (y - _onto_each(turned, coordinates)) / (1 - leverage), coordinates, vectors)


def _onto_each(matrix: Tensor, values: Tensor) -> Tensor:
    """The products [G, N, K] of a matrix [N, M] with each of `values` [G, M, K], as one."""
    product = matrix @ values.transpose(0, 1).flatten(1)  # [N, G · K]
    return product.view(len(matrix), len(values), -1).transpose(0, 1)


def inverses(gram: Tensor, penalties: Tensor) -> Tensor:
    """(gram + λI)⁻¹ for each penalty, [G, M, M]; the smallest penalty is jitter enough in float64."""
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return torch.cholesky_inverse(torch.linalg.cholesky(gram + penalties[:, None, None] * identity))


def choose(left_out: Tensor, support: Support) -> tuple[int, Tensor]:
    """Index of the penalty, and the scale, under which the left out [G, N, C] are most likely.

    Examples that are alone in their class do not count: without them nothing is known of it.
    """
    told = support.counts()[support.y] > 1  # [N]
    known = int(told.sum())
    if not known:
        return PENALTIES.index(UNTRIED_PENALTY), torch.tensor(UNTRIED_SCALE)
    outputs, y = (left_out, support.y) if known == len(support) else (left_out[:, told], support.y[told])
    below = (outputs - outputs.amax(-1, keepdim=True)).float()  # [G, N, C]
    true = below.gather(-1, y.expand(len(left_out), -1)[..., None]).mean((1, 2))  # [G]
    powers = (below * SCALES[0]).exp_()  # those of a scale are the squares of those of the scale before it
    totals = [powers.sum(-1)]
    totals += [powers.square_().sum(-1) for _ in SCALES[1:]]
    likelihood = torch.tensor(SCALES).to(true)[:, None] * true - torch.stack(totals).log_().mean(-1)  # [S, G]
    place, penalty = divmod(int(likelihood.argmax()), len(left_out))
    return penalty, torch.tensor(SCALES[place])


def pick(values: Tensor, choice: Tensor) -> Tensor:
    """Column t of the matrix `choice[t]`: [M, T] from [G, M, T] and [T]."""
    return values[choice, :, torch.arange(len(choice), device=choice.device)].T


def linear(weight: Tensor, z: Tensor) -> Tensor:
    """Outputs [..., Q, K] for embeddings [..., Q, D], by weights [..., D + 1, K] whose last row is the constant."""
    return z @ weight[..., :-1, :] + weight[..., -1:, :]


def with_constant(z: Tensor) -> Tensor:
    """Embeddings and a column of ones, [N, D + 1]."""
    return torch.cat([z, torch.ones_like(z[:, :1])], -1)


def root_mean_square(values: Tensor) -> Tensor:
    """Of each column, [K] from [N, K]; 1 where there is nothing but zeros."""
    squared = values.square().mean(0)
    return torch.where(squared > 0, squared, torch.ones_like(squared)).sqrt()

"""Gaussian processes on embeddings."""

import itertools
import sys
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone
from meta_core.config import Config
from meta_core.learner import Covariance, Learner, learners
from meta_core.learners.ridge import root_mean_square
from meta_core.types import Categorical, Gaussian, Prediction, State, Support, Task

LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
NOISES = (1e-4, 1e-3, 0.01, 0.1, 1.0)
UNTRIED = (1.0, 0.1)
"""Length and noise where the support cannot tell them."""
MOST_NUMBERS = 4_000_000
"""In the covariances that are factorised together."""
PRIOR = 3.0
"""How many examples the belief is worth that the process varies as much as the targets do."""


class GPConfig(Config):
    """Where the learned numbers of the kernel start; without a length every task chooses length and noise."""

    length: float | None = Field(
        None, gt=0, le=1e3, description="start of the meta-learned length; null: chosen per task by marginal likelihood"
    )
    noise: float = Field(0.1, ge=1e-6, le=1e3, description="start of the meta-learned noise, beside a length")
    scale: float = Field(4.0, gt=0, le=1e6, description="start of the factor of the logits (classification)")


class Fit(NamedTuple):
    """A posterior: points [N, D] in units of `unit`, A⁻¹ [N, N], A⁻¹Y and Y [N, K], η, and the spread of A."""

    points: Tensor
    unit: Tensor
    inverse: Tensor
    dual: Tensor
    y: Tensor
    noise: Tensor
    spread: Tensor

    def left_out(self) -> Tensor:
        """Mean for each example given the others, [N, K]."""
        return self.y - self.dual / self.inverse.diagonal()[:, None]

    def left_out_of_mean(self) -> Tensor:
        """The same where Y is less its mean, of which that of the others, m = −y_i / (N − 1), takes the place.

        m + f_i(y − m) = f_i(y) + m (1 − f_i(1)), f_i being linear and 1 − f_i(1) = (A⁻¹1)_i / (A⁻¹)_ii.
        """
        others = -self.y / max(len(self.y) - 1, 1)
        return self.left_out() + others * (self.inverse.sum(-1) / self.inverse.diagonal())[:, None]

    def signal(self) -> Tensor:
        """The v of each column [K], as much above the likely one as makes up for not knowing it (Student's t)."""
        return ((self.y * self.dual).sum(0) + PRIOR / self.spread) / (len(self.y) + PRIOR - 2)


@learners.register("gp")
class GP(Learner):
    """Gaussian process regression on embeddings, and on ±1 for each class: deep kernel transfer (arXiv:1910.05199).

    y ~ N(0, v A), A = R + ηI, R_ij = exp(−‖z_i − z_j‖² / 2(ℓρ)²) with ρ the root mean square distance of the support
    from its mean, so that ℓ means the same for every embedding; targets are standardised by the support. With r the
    kernel between a query and the support,

        mean = rᵀA⁻¹y,   variance = v (1 + η − rᵀA⁻¹r),   left out: y_i − (A⁻¹y)_i / (A⁻¹)_ii with v / (A⁻¹)_ii.

    ℓ and η are meta-learned or chosen per task on a grid by the marginal likelihood; v, of inverse gamma prior, is
    integrated out, which makes the answers Student's t: given by their mean and variance. For
    classes the mean times a learned factor is the logit, which is simple and exact; the variance would only soften it.
    """

    Config = GPConfig
    config: GPConfig
    tasks = frozenset({"classification", "regression"})
    most_left_out = sys.maxsize  # in closed form

    def __init__(self, backbone: Backbone, config: GPConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        if config.length is not None:
            self.log_length = nn.Parameter(torch.tensor(config.length).log())
            self.log_noise = nn.Parameter(torch.tensor(config.noise).log())
        if task == "classification":
            self.log_scale = nn.Parameter(torch.tensor(config.scale).log())

    def adapt(self, support: Support) -> State:
        """Points [N, D] and dual weights [N, C or T]; for regression also what the variance needs."""
        return self._state(support, self._fit(support))

    def _state(self, support: Support, fit: Fit) -> State:
        location, deviation = self._standard(support)
        state = {"points": fit.points, "unit": fit.unit, "dual": fit.dual}
        if self.task == "regression":
            variance = fit.signal() * deviation.square()  # [T]
            state |= {"inverse": fit.inverse, "variance": variance, "noise": fit.noise}
            state |= {"dual": fit.dual * deviation, "location": location}
        return {name: value.to(support.x) for name, value in state.items()}

    def predict(self, state: State, z: Tensor) -> Prediction:
        """The posterior at each query."""
        r = kernel(z / state["unit"], state["points"])  # [Q, N]
        mean = r @ state["dual"]
        if self.task == "classification":
            return self._classes(mean)
        known = (r @ state["inverse"] * r).sum(-1, keepdim=True)  # [Q, 1], at most 1
        return Gaussian(mean + state["location"], state["variance"] * ((1 - known).clamp(min=0) + state["noise"]))

    def leave_one_out(self, support: Support, left_out: Tensor) -> Prediction:
        """Exact for the kernel and signal of the whole support."""
        return self._left_out(support, self._fit(support), left_out)

    def adapt_and_leave_out(self, support: Support, left_out: Tensor) -> tuple[State, Prediction]:
        """Both from one fit."""
        fit = self._fit(support)
        return self._state(support, fit), self._left_out(support, fit, left_out)

    def covariance(self, support: Support, z: Tensor) -> Covariance:
        """The kernel with the length and noise of the support, in units of the signal."""
        fit = self._fit(support)
        points = z.double() / fit.unit
        return Covariance(kernel(points, points), float(fit.noise))

    def _left_out(self, support: Support, fit: Fit, left_out: Tensor) -> Prediction:
        if self.task == "classification":
            return self._classes(fit.left_out()[left_out].to(support.x))
        answers = fit.left_out_of_mean()[left_out].to(support.x)
        location, deviation = self._standard(support)
        variance = (fit.signal() / fit.inverse.diagonal()[left_out, None]).to(support.x)  # [M, T]
        return Gaussian(answers * deviation + location, variance * deviation.square())

    def _classes(self, mean: Tensor) -> Categorical:
        return Categorical((self.log_scale.exp() * mean).log_softmax(-1))

    def _standard(self, support: Support) -> tuple[Tensor, Tensor]:
        """Location and deviation of the targets, each [T]."""
        location = support.y.mean(0) if support.ways is None else torch.zeros(()).to(support.x)
        return location, root_mean_square(support.y - location)

    def _fit(self, support: Support) -> Fit:
        x = support.x.double()
        size = root_mean_square((x - x.mean(0)).norm(dim=-1, keepdim=True))  # [1]
        if support.ways is not None:
            y = 2 * support.one_hot().double() - 1
        else:
            location, deviation = self._standard(support)
            y = ((support.y - location) / deviation).double()
        length, noise = self._numbers(x / size, y, support)
        points = x / (size * length)
        covariance = kernel(points, points) + noise * torch.eye(len(x)).to(x)  # [N, N]
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(covariance))
        return Fit(points, size * length, inverse, inverse @ y, y, noise, spread(covariance))

    def _numbers(self, x: Tensor, y: Tensor, support: Support) -> tuple[Tensor, Tensor]:
        """Length and noise."""
        if self.config.length is not None:
            return self.log_length.exp().to(x), self.log_noise.exp().to(x)
        told = len(x) > 2 if support.ways is None else bool((support.counts() > 1).any())
        length, noise = choose(x, y) if told else UNTRIED
        return torch.tensor(length).to(x), torch.tensor(noise).to(x)


def kernel(a: Tensor, b: Tensor) -> Tensor:
    """exp(−½ ‖a_i − b_j‖²), by differences: the expanded form loses the digits of near neighbours."""
    distances = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
    return (-0.5 * distances.square()).exp()


def spread(covariance: Tensor) -> Tensor:
    """The variance to expect within a sample of each covariance [..., N, N]; 1 for a single example."""
    expected = covariance.diagonal(dim1=-2, dim2=-1).mean(-1) - covariance.mean((-2, -1))
    return torch.where(expected > 0, expected, torch.ones_like(expected))


@torch.no_grad()
def choose(x: Tensor, y: Tensor) -> tuple[float, float]:
    """The length and noise under which `y` [N, K] are most likely, whatever the signal: on a grid, then finer."""
    squared = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square()  # [N, N]
    identity = torch.eye(len(x)).to(x)

    def likelihoods(pairs: list[tuple[float, float]]) -> list[float]:
        length, noise = torch.tensor(pairs).to(x)[..., None, None].unbind(1)  # [G, 1, 1]
        covariance = (-0.5 * squared / length.square()).exp() + noise * identity  # [G, N, N]
        factor = torch.linalg.cholesky(covariance / spread(covariance)[:, None, None])
        solved = torch.linalg.solve_triangular(factor, y.expand(len(pairs), -1, -1), upper=False)
        misfit = 0.5 * (len(x) + PRIOR) * (solved.square().sum(1) + PRIOR).log()  # [G, K]
        determinant = factor.diagonal(dim1=1, dim2=2).log().sum(-1)  # [G], half of its logarithm
        return (-(misfit + determinant[:, None]).sum(-1)).tolist()  # type: ignore[no-any-return]

    def best(pairs: list[tuple[float, float]]) -> tuple[float, float]:
        together = max(1, MOST_NUMBERS // len(x) ** 2)
        found = [v for i in range(0, len(pairs), together) for v in likelihoods(pairs[i : i + together])]
        return pairs[max(range(len(pairs)), key=found.__getitem__)]

    length, noise = best(list(itertools.product(LENGTHS, NOISES)))
    return best([(length * 2**i, noise * 10**j) for i in (-0.5, 0.0, 0.5) for j in (-0.5, 0.0, 0.5)])

"""Linear regression whose weights come from a learned prior."""

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone
from meta_core.config import Config
from meta_core.episodes import Size, TaskSource
from meta_core.learner import Learner, ParameterGroup, learners
from meta_core.learners.ridge import root_mean_square, with_constant
from meta_core.types import Gaussian, State, Support, Task

FITTED_TO = 200
"""Tasks from which the prior is first estimated."""
ROUNDS = 150
"""Of expectation and maximisation."""
LEAST_VARIANCE = 1e-6
"""Of noise, as a share of the variance of all targets."""


class BayesLinearConfig(Config):
    """How strongly the estimated covariance is held to little variation between tasks."""

    restraint: float = Field(
        2.0, ge=0, le=1e6, description="tasks that the belief is worth that weights vary little and independently"
    )


@learners.register("bayes_linear")
class BayesLinear(Learner):
    """Linear mixed model: tasks are draws of weights from one normal distribution (Laird and Ware, 1982).

    y = φᵀw + ε with φ = [z, 1], w ~ N(m, Σ), ε ~ N(0, σ²); the posterior of w given the support is exact:

        K = ΦΣΦᵀ + σ²I,   mean = φᵀ(m + ΣΦᵀK⁻¹(y − Φm)),   variance = φᵀ(Σ − ΣΦᵀK⁻¹ΦΣ)φ + σ²

    m, Σ and σ² are first estimated from training tasks by expectation-maximisation, then trained with the backbone on
    the likelihood of queries given their support (ALPaCA, arXiv:1807.08912). Each target is a task of its own.
    """

    Config = BayesLinearConfig
    config: BayesLinearConfig
    tasks = frozenset({"regression"})
    needs_meta_training = True
    batches_tasks = True

    def __init__(self, backbone: Backbone, config: BayesLinearConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        width = backbone.dimension + 1
        self.mean = nn.Parameter(torch.zeros(width))
        self.factor = nn.Parameter(torch.eye(width))  # Σ = FFᵀ
        self.log_noise = nn.Parameter(torch.tensor(0.0))  # of σ²
        self.location: Tensor
        self.scale: Tensor
        self.register_buffer("location", torch.tensor(0.0))
        self.register_buffer("scale", torch.tensor(1.0))

    def adapt(self, support: Support) -> State:
        """Posterior mean of the weights [D + 1, T], and a factor of their covariance [D + 1, D + 1], in double."""
        phi, y = with_constant(support.x.double()), (support.y.double() - self.location) / self.scale
        mean, factor, noise = self.mean.double(), self.factor.double(), self.log_noise.double().exp()
        spread = phi @ factor  # [N, D + 1]; K = spread · spreadᵀ + σ²I
        inner = spread.T @ spread / noise + torch.eye(len(mean)).to(spread)  # by Woodbury, of the factor's size
        root = torch.linalg.cholesky(inner)
        known = torch.cholesky_solve(spread.T @ (y - (phi @ mean)[:, None]) / noise, root)  # [D + 1, T]
        return {
            "weight": (mean[:, None] + factor @ known).to(support.x),
            "factor": torch.linalg.solve_triangular(root, factor.T, upper=False).T.to(support.x),
        }

    def predict(self, state: State, z: Tensor) -> Gaussian:
        """The posterior of each query."""
        phi = with_constant(z)
        mean = phi @ state["weight"]  # [Q, T]
        variance = (phi @ state["factor"]).square().sum(-1, keepdim=True) + self.log_noise.exp()  # [Q, 1]
        return Gaussian(self.location + self.scale * mean, (self.scale.square() * variance).expand_as(mean))

    def parameter_groups(self) -> list[ParameterGroup]:
        """The prior is not decayed towards zero."""
        return [ParameterGroup([self.mean, self.factor, self.log_noise])]

    @torch.no_grad()
    def begin(self, source: TaskSource, size: Size, rng: torch.Generator) -> None:
        """Estimate the prior from tasks as they are, in units of the deviation of their targets."""
        device = self.mean.device
        episodes = [source.draw(size, rng).to(device) for _ in range(FITTED_TO)]
        targets = torch.cat([torch.cat([e.support.y, e.y]) for e in episodes]).double()
        self.location.copy_(targets.mean())
        self.scale.copy_(root_mean_square(targets.reshape(-1, 1) - targets.mean()).squeeze())
        points = [with_constant(self.encode(torch.cat([e.support.x, e.x])).double()) for e in episodes]
        values = [(torch.cat([e.support.y, e.y]).double() - self.location) / self.scale for e in episodes]
        mean, covariance, noise = estimate_prior(points, values, self.config.restraint)
        self.mean.copy_(mean)
        vectors = torch.linalg.eigh(covariance)
        self.factor.copy_(vectors.eigenvectors * vectors.eigenvalues.clamp(min=LEAST_VARIANCE).sqrt())
        self.log_noise.copy_(noise.log())


def estimate_prior(points: list[Tensor], values: list[Tensor], restraint: float) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [D], covariance [D, D] and noise of the mixed model, from tasks [N, D] with targets [N, T] of variance 1.

    Expectation-maximisation; the covariance has an inverse Wishart prior worth `restraint` tasks.
    """
    width, targets = points[0].shape[1], values[0].shape[1]
    grams = torch.stack([x.T @ x for x in points]).repeat_interleave(targets, 0)  # [G, D, D]
    products = torch.stack([x.T @ y for x, y in zip(points, values, strict=True)])
    products = products.transpose(1, 2).reshape(-1, width, 1)  # [G, D, 1]
    squares, rows = sum(float(y.square().sum()) for y in values), sum(y.numel() for y in values)
    identity = torch.eye(width).to(grams)
    mean = torch.linalg.solve(grams.sum(0) + identity, products.sum(0))  # [D, 1]
    covariance, noise = 0.1 * identity, torch.tensor(0.5).to(grams)
    believed = restraint * 0.01 * identity
    for _ in range(ROUNDS):
        precision = torch.cholesky_inverse(torch.linalg.cholesky(covariance))
        posterior = torch.cholesky_inverse(torch.linalg.cholesky(precision + grams / noise))  # [G, D, D]
        weights = posterior @ (precision @ mean + products / noise)  # [G, D, 1]
        second = posterior + weights @ weights.transpose(1, 2)
        # ridge on the mean as on a pooled regression: what columns that never vary say is nothing
        mean = torch.linalg.solve(identity + len(weights) * precision, precision @ weights.sum(0))
        apart = weights - mean
        scatter = (posterior + apart @ apart.transpose(1, 2)).sum(0) + believed
        covariance = scatter / (len(weights) + restraint)
        left = squares - 2 * (weights * products).sum() + (grams * second).sum()
        noise = (left / rows).clamp(min=LEAST_VARIANCE)
    return mean.squeeze(1), covariance, noise

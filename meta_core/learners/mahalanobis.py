"""Class-covariance based classification."""

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone
from meta_core.config import Config
from meta_core.learner import Learner, learners
from meta_core.types import Categorical, State, Support, Task


class MahalanobisConfig(Config):
    """Where the two learned numbers start."""

    ridge: float = Field(1.0, gt=0, le=1e6, description="start of β, in units of the mean variance of the support")
    scale: float = Field(1.0, gt=0, le=1e6, description="start of the inverse temperature; 1 is a normal distribution")


@learners.register("mahalanobis")
class Mahalanobis(Learner):
    """Each class a normal distribution with a covariance of its own: Simple CNAPS (arXiv:1912.03432).

    log p(c | z) = −½ (s · (z − μ_c)ᵀ Q_c⁻¹ (z − μ_c) + log det Q_c) + const,
    Q_c = λ_c Σ_c + (1 − λ_c) Σ + β (tr Σ / D) I,   λ_c = n_c / (n_c + 1),
    with Σ_c the covariance within class c (zero for one example) and Σ that of the whole support. The paper has
    β = 1 in the units of its embedding and no determinant, which makes the answers those of no distribution. The state
    grows with C · D².
    """

    Config = MahalanobisConfig
    batches_tasks = True

    def __init__(self, backbone: Backbone, config: MahalanobisConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.log_ridge = nn.Parameter(torch.tensor(config.ridge).log())
        self.log_scale = nn.Parameter(torch.tensor(config.scale).log())

    def adapt(self, support: Support) -> State:
        """Class means [C, D], maps L_c⁻¹ [C, D, D] that make Q_c = L_c L_cᵀ the identity, and log det Q_c [C]."""
        means = support.class_means()
        factor = torch.linalg.cholesky(self._covariances(support, means).double())  # [C, D, D]
        identity = torch.eye(factor.shape[-1]).to(factor).expand_as(factor)
        whitening = torch.linalg.solve_triangular(factor, identity, upper=False)
        log_determinant = 2 * factor.diagonal(dim1=1, dim2=2).log().sum(-1)
        state = {"prototypes": means, "whitening": whitening, "log_determinant": log_determinant}
        return {name: value.to(support.x) for name, value in state.items()}

    def predict(self, state: State, z: Tensor) -> Categorical:
        """Softmax over the log-densities."""
        away = z[:, None] - state["prototypes"]  # [Q, C, D]
        squared = torch.einsum("cde,qce->qcd", state["whitening"], away).square().sum(-1)  # [Q, C]
        return Categorical((-0.5 * (self.log_scale.exp() * squared + state["log_determinant"])).log_softmax(-1))

    def _covariances(self, support: Support, means: Tensor) -> Tensor:
        """Q of each class, [C, D, D]."""
        members, counts = support.one_hot(), support.counts()
        within = support.x - means[support.y]  # [N, D]
        own = (members.T[:, None] * within.T) @ within / (counts - 1).clamp(min=1)[:, None, None]  # [C, D, D]
        away = support.x - support.x.mean(0)
        whole = away.T @ away / max(len(support) - 1, 1)  # [D, D]
        variance = whole.diagonal().mean()
        unit = torch.where(variance > 0, variance, torch.ones_like(variance))
        share = (counts / (counts + 1))[:, None, None]
        return share * own + (1 - share) * whole + self.log_ridge.exp() * unit * torch.eye(len(whole)).to(whole)

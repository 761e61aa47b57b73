"""Class-covariance based classification."""

import sys

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone
from meta_core.config import Config
from meta_core.learner import Learner, learners
from meta_core.types import Categorical, State, Support, Task

FEW = 0.25
"""Examples of a class, as a share of the dimension, up to which its own scatter is a correction of what all share."""
MOST_NUMBERS = 4_000_000
"""In the corrections of all that are left out."""
ROUNDING = 1e-12
"""Of the variance, up to which nothing is left of it without an example."""


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
    most_left_out = sys.maxsize  # in closed form
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

    def leave_one_out(self, support: Support, left_out: Tensor) -> Categorical:
        """Exact: one example less takes multiples of ddᵀ from Σ and, of its own class, Σ_c, and moves β (tr Σ / D)."""
        own, away = support.y[left_out], support.x.double() - support.x.double().mean(0)
        others = max(len(away) - 2, 1)
        spectrum, basis = torch.linalg.eigh(away.T @ away / others)  # [D], of Σ as if the example were still there
        spectrum, x = spectrum.clamp(min=0), away @ basis
        gone = x[left_out] * (len(x) / (len(x) - 1) / others) ** 0.5  # [M, D], whose square takes it out of Σ
        variance = (spectrum.sum() - gone.square().sum(-1)) / len(spectrum)  # [M]
        unit = torch.where(variance > ROUNDING * spectrum.mean(), variance, torch.ones_like(variance))
        floor = self.log_ridge.exp() * unit
        answers = []
        for c in range(int(support.ways or 0)):
            members, mine = x[support.y == c], (own == c).nonzero().flatten()
            n, far = len(members), x[left_out] - members.mean(0)
            within, share = members - members.mean(0), n / (n + 1)
            added, taken = (share / max(n - 1, 1)) ** 0.5 * within, (1 - share) ** 0.5 * gone[:, None]
            answer = self._log_density(far, (1 - share) * spectrum, floor, added, taken)  # [M]
            if len(mine):
                share = (n - 1) / n
                each = (share / max(n - 2, 1)) ** 0.5
                taken = torch.stack([(1 - share) ** 0.5 * gone[mine], each * (n / (n - 1)) ** 0.5 * far[mine]], 1)
                far = n / (n - 1) * far[mine]  # from the mean of the others
                answer[mine] = self._log_density(far, (1 - share) * spectrum, floor[mine], each * within, taken)
            answers.append(answer)
        return Categorical(torch.stack(answers, -1).log_softmax(-1).to(support.x))

    def _log_density(self, away: Tensor, shared: Tensor, floor: Tensor, added: Tensor, taken: Tensor) -> Tensor:
        """Of `away` [M, D] from the mean of a class, up to a constant, [M].

        The covariances are diag(`shared` [D] + `floor` [M]) with the scatter of `added` [n, D] and without that of
        `taken` [M, R, D]: a correction of rank n + R to the diagonal, or with many examples of rank R to a spectrum.
        """
        if len(added) > FEW * away.shape[1] or len(added) * away.numel() > MOST_NUMBERS:
            values, basis = torch.linalg.eigh(shared.diag() + added.T @ added)
            away, shared, added, taken = away @ basis, values.clamp(min=0), added[:0], taken @ basis
        diagonal = shared + floor[:, None]  # [M, D]
        rows = torch.cat([added.expand(len(away), -1, -1), taken], 1)  # [M, n + R, D]
        weighed = rows / diagonal[:, None]
        signs = torch.cat([torch.ones(len(added)), -torch.ones(taken.shape[1])]).to(rows)
        factor, pivots = torch.linalg.lu_factor(weighed @ rows.mT + signs.diag())
        seen = (weighed * away[:, None]).sum(-1, keepdim=True)  # [M, n + R, 1]
        solved = torch.linalg.lu_solve(factor, pivots, seen)
        squared = (away.square() / diagonal).sum(-1) - (seen * solved).sum((1, 2))
        small = factor.diagonal(dim1=1, dim2=2).abs().log().sum(-1)
        answer: Tensor = -0.5 * (self.log_scale.exp() * squared + diagonal.log().sum(-1) + small)
        return answer

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

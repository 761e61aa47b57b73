"""Support vector machines on embeddings."""

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone
from meta_core.config import Config
from meta_core.learner import Learner, learners
from meta_core.learners.gp import kernel as rbf
from meta_core.learners.ridge import root_mean_square
from meta_core.learners.tree import canonical, scikit_learn
from meta_core.types import Categorical, State, Support, Task


class SVMConfig(Config):
    """The machine; `scale` is where the learned factor of its margins starts."""

    kernel: Literal["rbf", "linear"] = "rbf"
    inverse_penalty: float = Field(10.0, gt=0, le=1e9, description="C: the larger, the closer to the examples")
    scale: float = Field(4.0, gt=0, le=1e6, description="start of the factor of the margins")


@learners.register("svm")
class SVM(Learner):
    """One support vector machine for each class against the rest, fitted by scikit-learn, answered by tensors.

    p(c | z) ∝ exp(s · (Σ_n α_nc k(z, z_n) + b_c)), k(a, b) = aᵀb / ρ² or exp(−‖a − b‖² / ρ²) with ρ the root mean
    square distance of the support from its mean m, which is subtracted. Both sides of a machine weigh the same in all.
    """

    Config = SVMConfig
    config: SVMConfig
    first_order = "the fitted machine is taken as a constant; only queries and scale are differentiated"

    def __init__(self, backbone: Backbone, config: SVMConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.log_scale = nn.Parameter(torch.tensor(config.scale).log())

    @torch.no_grad()
    def adapt(self, support: Support) -> State:
        """S support vectors [S, D] in units of ρ around m, their weights [S, C], intercepts [C]."""
        order = torch.from_numpy(canonical(support)[2]).to(support.y.device)
        x = support.x[order].double()
        location = x.mean(0)
        unit = root_mean_square((x - location).norm(dim=-1, keepdim=True))  # [1]
        points = (x - location) / unit
        weight, intercept = self._machines(points, support.y[order], int(support.ways or 0))
        kept = weight.any(-1)
        state = {"points": points[kept], "weight": weight[kept], "intercept": intercept}
        state |= {"location": location, "unit": unit}
        return {name: value.to(support.x) for name, value in state.items()}

    def predict(self, state: State, z: Tensor) -> Categorical:
        """Softmax over the scaled margins."""
        similar = self._kernel((z - state["location"]) / state["unit"], state["points"])  # [Q, S]
        margins = similar @ state["weight"] + state["intercept"]  # [Q, C]
        return Categorical((self.log_scale.exp() * margins).log_softmax(-1))

    def _kernel(self, a: Tensor, b: Tensor) -> Tensor:
        return a @ b.T if self.config.kernel == "linear" else rbf(2**0.5 * a, 2**0.5 * b)

    def _machines(self, points: Tensor, y: Tensor, ways: int) -> tuple[Tensor, Tensor]:
        """Weight of every example [N, C] and intercept [C] of the machine of each class."""
        svm = scikit_learn("svm", self.name)
        gram, labels = self._kernel(points, points).cpu().numpy(), y.cpu().numpy()
        weight, intercept = np.zeros((len(gram), ways)), np.zeros(ways)
        for c in range(ways):
            machine = svm.SVC(
                C=self.config.inverse_penalty, kernel="precomputed", class_weight="balanced", tol=1e-8
            ).fit(gram, labels == c)
            weight[machine.support_, c], intercept[c] = machine.dual_coef_[0], machine.intercept_[0]
        return torch.from_numpy(weight).to(points), torch.from_numpy(intercept).to(points)

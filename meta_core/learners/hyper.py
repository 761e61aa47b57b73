"""Conditional neural adaptive processes: a network writes the weights of another."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from meta_core.backbone import Backbone
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.learner import Learner, learners
from meta_core.learners.cnp import Perceptron
from meta_core.types import Categorical, State, Support, Task


class HyperConfig(Config):
    """Width of the modulated block and of the networks that write weights."""

    width: int = Field(128, ge=4, le=4096, json_schema_extra=MADE_WITH_THE_WEIGHTS)


@learners.register("hyper")
class Hyper(Learner):
    """The mean of the support modulates a block on the embedding; class means write the classifier (arXiv:1906.07697).

        τ = mean_n r(z_n),  (γ, β) = m(τ)                          of the task
        f(z) = z + B · silu((1 + γ) ⊙ Az + β)                      feature-wise linear modulation (FiLM)
        μ_c = mean_{n: y_n = c} f(z_n),  (w_c, b_c) = 2μ_c + v(μ_c), −‖μ_c‖² + b(μ_c)
        logit_c = s · (f(z) · w_c + b_c)

    CNAPs modulates every layer of a frozen body; here it is one learned block on top of it. The classifier starts at
    that of the nearest mean, as it does in ProtoMAML.
    """

    Config = HyperConfig
    config: HyperConfig
    needs_meta_training = True
    batches_tasks = True

    def __init__(self, backbone: Backbone, config: HyperConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        d, width = backbone.dimension, config.width
        self.reader = Perceptron((d,), [width, width])
        self.modulator = Perceptron((width,), [width, 2 * width])
        self.block = nn.ModuleList([nn.Linear(d, width, bias=False), nn.Linear(width, d, bias=False)])
        self.writer = Perceptron((d,), [width, d + 1])
        self.writer.last.register_parameter("bias", None)  # the same for all classes, and so without effect
        self.log_scale = nn.Parameter(torch.zeros(()))
        with torch.no_grad():  # start close to the nearest mean
            self.modulator.last.weight.mul_(0.1)
            self.writer.last.weight.mul_(0.1)

    def adapt(self, support: Support) -> State:
        """Modulation γ, β, each [W], and the classifier: weight [D, C], bias [C]."""
        gamma, beta = self.modulator(self.reader(support.x).mean(0)).chunk(2)
        members = support.one_hot()  # [N, C]
        means = members.T @ self._modulated(support.x, gamma, beta) / members.sum(0)[:, None]  # [C, D]
        written = self.writer(means) + torch.cat([2 * means, -means.square().sum(-1, keepdim=True)], -1)  # [C, D + 1]
        written = self.log_scale.exp() * written
        return {"gamma": gamma, "beta": beta, "weight": written[:, :-1].T, "bias": written[:, -1]}

    def predict(self, state: State, z: Tensor) -> Categorical:
        """The written classifier on the modulated queries."""
        f = self._modulated(z, state["gamma"], state["beta"])
        return Categorical((f @ state["weight"] + state["bias"]).log_softmax(-1))

    def _modulated(self, z: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        into, out = self.block
        modulated: Tensor = z + out(F.silu((1 + gamma) * into(z) + beta))
        return modulated

"""Logistic regression on embeddings."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from meta_core.backbone import Backbone
from meta_core.config import Config
from meta_core.learner import Learner, learners
from meta_core.learners.ridge import linear
from meta_core.types import Categorical, State, Support, Task

PRECISION, LEFT_OUT_PRECISION = 1e-9, 1e-4
"""Of the gradient at the optimum, relative to what it would be with all weights zero; and when refitting."""
MOST_STEPS, MOST_PRODUCTS = 100, 500


class LogisticConfig(Config):
    """`inverse_penalty` is where the learned C of scikit-learn starts."""

    inverse_penalty: float = Field(1.0, gt=0, le=1e9, description="start of C: the larger, the closer to the examples")


@learners.register("logistic")
class Logistic(Learner):
    """Multinomial logistic regression to convergence: min_W Σ_n −log p(y_n | z_n) + ‖W‖² / 2C, intercept not penalised.

    The objective of scikit-learn: as there, two classes have twice the penalty, which is that of one weight vector.
    Solved by truncated Newton steps, differentiated by the implicit function theorem (MetaOptNet, arXiv:1904.03758).
    log C is meta-learned; a scale of the embeddings would be the same parameter twice.
    """

    Config = LogisticConfig
    broadcasts = True

    def __init__(self, backbone: Backbone, config: LogisticConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.log_inverse_penalty = nn.Parameter(torch.tensor(config.inverse_penalty).log())

    def adapt(self, support: Support) -> State:
        """Weights [D + 1, C] of embedding and constant."""
        support, basis = spanned(support)
        objective = self._objective(support)
        weight: Tensor = Optimum.apply(objective.x, objective.y, objective.penalty)  # type: ignore[no-untyped-call]
        weight = weight.to(support.x)
        return {"weight": weight if basis is None else torch.cat([basis @ weight[:-1], weight[-1:]])}

    def predict(self, state: State, z: Tensor) -> Categorical:
        """Softmax of a linear map."""
        return Categorical(linear(state["weight"], z).log_softmax(-1))

    @torch.no_grad()
    def leave_one_out(self, support: Support, left_out: Tensor) -> Categorical:
        """Refitted without each example, from where the fit to all of them ended; not differentiable."""
        support, _ = spanned(support)
        objective = self._objective(support)
        full = minimise(objective, objective.start(), LEFT_OUT_PRECISION)
        refits = (self._objective(support.without(i)) for i in left_out.tolist())
        weights = torch.stack([minimise(refit, full, LEFT_OUT_PRECISION) for refit in refits]).to(support.x)
        outputs = (support.x[left_out, None] @ weights[:, :-1] + weights[:, -1:]).squeeze(1)  # [M, C]
        return Categorical(outputs.log_softmax(-1))

    def _objective(self, support: Support) -> "Objective":
        x = torch.cat([support.x, torch.ones_like(support.x[:, :1])], -1).double()  # [N, D + 1]
        penalty = self.log_inverse_penalty.neg().exp().to(x)
        return Objective(x, support.one_hot().double(), 2 * penalty if support.ways == 2 else penalty)


def spanned(support: Support) -> tuple[Support, Tensor | None]:
    """A support set in coordinates of the span of its examples where those are fewer, and the basis [D, N] of it.

    The penalty does not see a rotation, and no weight leaves the span: the answers are the same, for less work.
    """
    x = support.x
    if len(x) >= x.shape[1] or x.requires_grad:
        return support, None
    basis = torch.linalg.qr(x.double().T)[0]  # [D, N]
    return replace(support, x=(x.double() @ basis).to(x)), basis.to(x)


@dataclass(frozen=True)
class Objective:
    """Σ_n −log p(y_n | x_n) + λ/2 ‖W‖² over W [D + 1, C], whose last row, the intercept, is free."""

    x: Tensor
    y: Tensor
    penalty: Tensor

    def start(self) -> Tensor:
        """Zero weights."""
        return torch.zeros(self.x.shape[1], self.y.shape[1]).to(self.x)

    def decay(self, w: Tensor) -> Tensor:
        """λW, zero for the intercept."""
        return self.penalty * torch.cat([w[:-1], torch.zeros_like(w[-1:])])

    def value(self, w: Tensor) -> float:
        """The objective itself."""
        logits = self.x @ w  # [N, C]
        losses = logits.logsumexp(-1) - (logits * self.y).sum(-1)  # [N]
        return (losses.sum() + 0.5 * (w * self.decay(w)).sum()).item()

    def gradient(self, w: Tensor) -> Tensor:
        """Its slope, [D + 1, C]."""
        return self.x.T @ ((self.x @ w).softmax(-1) - self.y) + self.decay(w)

    def solve(self, w: Tensor, right: Tensor, precision: float) -> Tensor:
        """H⁻¹ · right, with H the Hessian at `w`, up to what shifts all intercepts alike."""
        p = (self.x @ w).softmax(-1)  # [N, C]

        def product(v: Tensor) -> Tensor:
            slope = p * (self.x @ v)  # [N, C]
            return self.x.T @ (slope - p * slope.sum(-1, keepdim=True)) + self.decay(v)

        diagonal = self.x.square().T @ (p * (1 - p)) + self.decay(torch.ones_like(w))
        return conjugate_gradient(product, centred(right), diagonal.clamp(min=1e-12), precision)


class Optimum(torch.autograd.Function):
    """The minimum W(x, λ) of the objective; dW = −H⁻¹ d(∇F), by the implicit function theorem."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, penalty: Tensor) -> Tensor:
        """Weights [D + 1, C] whose intercepts sum to zero."""
        objective = Objective(x, y, penalty)
        w = centred(minimise(objective, objective.start(), PRECISION))
        ctx.save_for_backward(x, y, penalty, w)
        return w

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, Tensor]:
        """Gradients of embeddings and penalty: one solve with the Hessian at the optimum."""
        x, y, penalty, w = ctx.saved_tensors
        adjoint = Objective(x, y, penalty).solve(w, slope, PRECISION)
        with torch.enable_grad():
            x, penalty = x.detach().requires_grad_(), penalty.detach().requires_grad_()
            by_x, by_penalty = torch.autograd.grad(Objective(x, y, penalty).gradient(w), (x, penalty), -adjoint)
        return by_x, None, by_penalty


def centred(w: Tensor) -> Tensor:
    """Weights with intercepts that sum to zero, which changes no probability."""
    return torch.cat([w[:-1], w[-1:] - w[-1:].mean()])


def minimise(objective: Objective, w: Tensor, precision: float) -> Tensor:
    """Newton's method with a backtracking line search; each step is solved only as well as it deserves."""
    at_zero = objective.gradient(objective.start()).norm().item()
    for _ in range(MOST_STEPS):
        gradient = objective.gradient(w)
        left = gradient.norm().item() / max(at_zero, 1e-300)
        if left <= precision:
            break
        step = objective.solve(w, -gradient, min(0.1, max(1e-3, math.sqrt(left))))
        size = backtrack(objective, w, step, (gradient * step).sum().item())
        if not size:
            break  # no digits are left to improve
        w = w + size * step
    return w


def backtrack(objective: Objective, w: Tensor, step: Tensor, slope: float) -> float:
    """The first of 1, ½, ¼… that brings a fair share of the promised decrease; 0 if none does."""
    before = objective.value(w)
    slack = 1e-14 * abs(before)
    sizes = (0.5**k for k in range(30))
    return next((s for s in sizes if objective.value(w + s * step) <= before + 1e-4 * s * slope + slack), 0.0)


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], right: Tensor, diagonal: Tensor, precision: float
) -> Tensor:
    """Solve A · v = right for a symmetric positive semi-definite A, preconditioned by its diagonal."""
    v, residual = torch.zeros_like(right), right
    direction = residual / diagonal
    energy = (residual * direction).sum()
    enough = precision * right.norm()
    for _ in range(MOST_PRODUCTS):
        if residual.norm() <= enough:
            break
        image = product(direction)
        size = energy / (direction * image).sum()
        v, residual = v + size * direction, residual - size * image
        scaled = residual / diagonal
        energy, previous = (residual * scaled).sum(), energy
        direction = scaled + energy / previous * direction
    return v

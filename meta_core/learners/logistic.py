"""Logistic regression on embeddings."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from meta_core.backbone import Backbone
from meta_core.config import Config
from meta_core.learner import Learner, learners
from meta_core.learners.ridge import linear
from meta_core.types import Categorical, State, Support, Task

EXACT, PRECISION, LEFT_OUT_PRECISION, COARSE = 1e-9, 1e-6, 1e-4, 1e-3
"""Of the gradient at the optimum, relative to what it would be with all weights zero: for embeddings in double and in
single precision, when refitting, and as far as single precision is used."""
MOST_STEPS, MOST_PRODUCTS = 100, 500
DAMPING = 0.3
"""Of a step from zero, in units of the curvature there."""
MOST_MOVING = 16
"""Classes whose weights move when an example is left out."""
LEFT_OUT_SHARE = 0.05
"""Of the gradient that leaving an example out of many classes brings, which may stay: those held still cost more."""


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
        return {"weight": regress(support, self._penalty())}

    def predict(self, state: State, z: Tensor) -> Categorical:
        """Softmax of a linear map."""
        return Categorical(linear(state["weight"], z).log_softmax(-1))

    @torch.no_grad()
    def leave_one_out(self, support: Support, left_out: Tensor) -> Categorical:
        """Refitted without each example, from where the fit to all of them ended; not differentiable."""
        objective = objective_of(support, principal(support), self._penalty())
        full = fitted(objective, LEFT_OUT_PRECISION)
        return without_each(objective.to(support.x), full.to(support.x), left_out)

    @torch.no_grad()
    def adapt_and_leave_out(self, support: Support, left_out: Tensor) -> tuple[State, Categorical]:
        """Both from one fit."""
        frame = principal(support)
        objective = objective_of(support, frame, self._penalty())
        full = centred(fitted(objective, precision_of(support.x)))
        answers = without_each(objective.to(support.x), full.to(support.x), left_out)
        return {"weight": frame.back(full).to(support.x)}, answers

    def _penalty(self) -> Tensor:
        return self.log_inverse_penalty.neg().exp()


def regress(support: Support, penalty: Tensor) -> Tensor:
    """Weights [D + 1, C] of embedding and constant, for λ = 1 / C; differentiable."""
    frame = principal(support)
    objective = objective_of(support, frame, penalty)
    weight: Tensor = Optimum.apply(*objective.parts, precision_of(support.x))  # type: ignore[no-untyped-call]
    return frame.back(weight).to(support.x)


def objective_of(support: Support, frame: "Frame", penalty: Tensor) -> "Objective":
    """What is minimised, in the coordinates of a frame."""
    x = (support.x.double() - frame.mean) @ frame.axes
    x = torch.cat([x, torch.ones_like(x[:, :1])], -1)  # [N, D + 1]
    penalty = penalty.to(x)
    return Objective(x, support.one_hot().double(), 2 * penalty if support.ways == 2 else penalty)


class Frame(NamedTuple):
    """Coordinates (x − mean) · axes, with the mean [D] and axes [D, d] in double precision."""

    mean: Tensor
    axes: Tensor

    def back(self, weight: Tensor) -> Tensor:
        """Weights [D + 1, C] for x of those [d + 1, C] for its coordinates."""
        w = self.axes @ weight[:-1]
        return torch.cat([w, weight[-1:] - self.mean @ w])


@torch.no_grad()
def principal(support: Support) -> Frame:
    """The principal axes of the examples, min(N, D) of them.

    The penalty sees neither a rotation nor, beside a free intercept, a shift, and no weight leaves the span of the
    examples: the answers are the same. There the Hessian is nearest to its diagonal, and where examples are fewer than
    features there is less work.
    """
    x = support.x.double()
    mean = x.mean(0)
    span = torch.linalg.qr((x - mean).T)[0] if len(x) < x.shape[1] and not support.x.requires_grad else None  # [D, N]
    inside = x - mean if span is None else (x - mean) @ span
    axes = torch.linalg.eigh(inside.T @ inside)[1]
    return Frame(mean, axes if span is None else span @ axes)


@dataclass(frozen=True)
class Objective:
    """Σ_n −log p(y_n | x_n) + λ/2 ‖W‖² over W [D + 1, C], whose last row, the intercept, is free.

    Or M of them at once over W [D + 1, M, K]: each over some of the examples, `counted` [N, M, 1], with the weights of
    only K classes to be found, where the log-sum of the others' exponentials is `rest` [N, M, 1].
    """

    x: Tensor
    y: Tensor
    penalty: Tensor
    counted: Tensor | None = None
    rest: Tensor | None = None

    def to(self, like: Tensor) -> "Objective":
        """The same in the precision of something."""
        return Objective(*(part.to(like) for part in self.parts))

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Examples, classes and penalty."""
        return self.x, self.y, self.penalty

    def start(self) -> Tensor:
        """Zero weights."""
        return torch.zeros(self.x.shape[1], *self.y.shape[1:]).to(self.x)

    def decay(self, w: Tensor) -> Tensor:
        """λW, zero for the intercept."""
        return self.penalty * torch.cat([w[:-1], torch.zeros_like(w[-1:])])

    def value(self, w: Tensor) -> Tensor:
        """The objectives themselves, [] or [M]."""
        logits = self._logits(w)
        losses = self._total(logits) - (logits * self.y).sum(-1, keepdim=True)  # [N, …, 1]
        return self._counted(losses).sum((0, -1)) + 0.5 * (w * self.decay(w)).sum((0, -1))

    def gradient(self, w: Tensor) -> Tensor:
        """Their slopes, as W."""
        return self._summed(self._counted(self.probabilities(w) - self.y)) + self.decay(w)

    def probabilities(self, w: Tensor) -> Tensor:
        """Of the K classes, [N, …, K]."""
        logits = self._logits(w)
        return (logits - self._total(logits)).exp()

    def solve(self, w: Tensor, right: Tensor, precision: Tensor, damping: Tensor | float = 0.0) -> Tensor:
        """(H + damping)⁻¹ · right, with H the Hessians at `w`, up to what shifts all intercepts alike."""
        p = self.probabilities(w)
        counted = self._counted(p)

        def product(v: Tensor) -> Tensor:
            outputs = self._logits(v)
            slope = counted * (outputs - (p * outputs).sum(-1, keepdim=True))
            return self._summed(slope) + self.decay(v) + damping * v

        curvature = self._summed_squares(counted * (1 - p))
        diagonal = curvature + self.decay(torch.ones_like(w)) + damping
        right = centred(right) if self.rest is None else right
        return conjugate_gradient(product, right, diagonal.clamp(min=1e-12), precision)

    def curvature_at_zero(self) -> Tensor:
        """The diagonal of the Hessians where all classes are as likely, as W."""
        even = 1 / self.y.shape[-1]
        return self._summed_squares(self._counted(torch.full_like(self.y, even * (1 - even))))

    def _summed_squares(self, values: Tensor) -> Tensor:
        return (self.x.square().T @ values.flatten(1)).view(self.x.shape[1], *values.shape[1:])

    def _logits(self, w: Tensor) -> Tensor:
        return (self.x @ w.flatten(1)).view(len(self.x), *w.shape[1:])

    def _summed(self, slope: Tensor) -> Tensor:
        return (self.x.T @ slope.flatten(1)).view(self.x.shape[1], *slope.shape[1:])

    def _total(self, logits: Tensor) -> Tensor:
        total = logits.logsumexp(-1, keepdim=True)
        return total if self.rest is None else torch.logaddexp(total, self.rest)

    def _counted(self, values: Tensor) -> Tensor:
        return values if self.counted is None else values * self.counted


def without_each(objective: Objective, full: Tensor, left_out: Tensor) -> Categorical:
    """Answers to examples [M] after refitting `full` [D + 1, C] without each of them.

    Of many classes only the weights of those move that the example may be taken for, its own among them.
    """
    x, every = objective.x, objective.x @ full  # [N, C]
    likeliest = (every[left_out] + objective.y[left_out] * 1e9).topk(min(MOST_MOVING, full.shape[1])).indices  # [M, K]
    counted = torch.ones(len(x), len(left_out), 1).to(x)
    counted[left_out, torch.arange(len(left_out))] = 0
    rest = None
    if likeliest.shape[1] < full.shape[1]:
        moving = torch.zeros_like(every[left_out], dtype=torch.bool).scatter(1, likeliest, value=True)  # [M, C]
        rest = every[:, None].masked_fill(moving, -math.inf).logsumexp(-1, keepdim=True)  # [N, M, 1]
    several = Objective(x, objective.y[:, likeliest], objective.penalty, counted, rest)
    share = 0.0 if rest is None else LEFT_OUT_SHARE
    moved = minimise(several, full[:, likeliest], LEFT_OUT_PRECISION, share)  # [D + 1, M, K]
    answers = every[left_out].scatter(1, likeliest, torch.einsum("md,dmk->mk", x[left_out], moved))
    return Categorical(answers.log_softmax(-1))


class Optimum(torch.autograd.Function):
    """The minimum W(x, λ) of the objective; dW = −H⁻¹ d(∇F), by the implicit function theorem."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, penalty: Tensor, precision: float) -> Tensor:
        """Weights [D + 1, C] whose intercepts sum to zero."""
        w = centred(fitted(Objective(x, y, penalty), precision))
        ctx.save_for_backward(x, y, penalty, w)
        return w

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, Tensor, None]:
        """Gradients of embeddings and penalty: one solve with the Hessian at the optimum."""
        x, y, penalty, w = ctx.saved_tensors
        adjoint = Objective(x, y, penalty).solve(w, slope, torch.tensor(EXACT))
        with torch.enable_grad():
            x, penalty = x.detach().requires_grad_(), penalty.detach().requires_grad_()
            by_x, by_penalty = torch.autograd.grad(Objective(x, y, penalty).gradient(w), (x, penalty), -adjoint)
        return by_x, None, by_penalty, None


def centred(w: Tensor) -> Tensor:
    """Weights with intercepts that sum to zero, which changes no probability."""
    return torch.cat([w[:-1], w[-1:] - w[-1:].mean(-1, keepdim=True)])


def precision_of(x: Tensor) -> float:
    """How well weights for such embeddings are fitted."""
    return EXACT if x.dtype == torch.float64 else PRECISION


def fitted(objective: Objective, precision: float) -> Tensor:
    """The weights of the minimum, from zero; most of the way in single precision, at half the cost."""
    single = objective.to(torch.empty((), dtype=torch.float32, device=objective.x.device))
    return minimise(objective, minimise(single, single.start(), COARSE).to(objective.x), precision)


def minimise(objective: Objective, w: Tensor, precision: float, share: float = 0.0) -> Tensor:
    """Newton's method with a backtracking line search; each step is solved only as well as it deserves.

    It ends at a gradient of `precision` relative to that at zero weights, or of a `share` of that at the start.
    Far from the minimum, where examples are told with certainty and the Hessian vanishes for classes whose intercepts
    nothing holds, steps are damped in proportion to the gradient (Li, Fukushima, Qi & Yamashita, 2004).
    """
    usual = objective.curvature_at_zero()
    at_zero = _norm(objective.gradient(torch.zeros_like(w))).clamp(min=1e-300)  # [], [M] where there are several
    enough = None
    for _ in range(MOST_STEPS):
        gradient = objective.gradient(w)
        left = _norm(gradient) / at_zero
        enough = (share * left).clamp(min=precision) if enough is None else enough
        if (left <= enough).all():
            break
        damping = DAMPING * left[..., None] * usual
        step = objective.solve(w, -gradient, left.sqrt().clamp(1e-3, 0.1), damping)
        size = backtrack(objective, w, step, (gradient * step).sum((0, -1)))
        if not size.any():
            break  # no digits are left to improve
        w = w + size[..., None] * step
    return w


def backtrack(objective: Objective, w: Tensor, step: Tensor, slope: Tensor) -> Tensor:
    """The first of 1, ½, ¼… that brings a fair share of the promised decrease; 0 if none does; for each."""
    before = objective.value(w)
    size, open = torch.ones_like(before), torch.ones_like(before, dtype=torch.bool)
    for _ in range(30):
        after = objective.value(w + size[..., None] * step)
        open = ~(after <= before + 1e-4 * size * slope + 50 * torch.finfo(before.dtype).eps * before.abs())
        if not open.any():
            return size
        size = torch.where(open, size / 2, size)
    return torch.where(open, 0.0, size)


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], right: Tensor, diagonal: Tensor, precision: Tensor | float
) -> Tensor:
    """Solve A · v = right for symmetric positive semi-definite A, preconditioned by its diagonal.

    Right sides [D], [D, C], or [D, M, K] for M systems at once.
    """
    v, residual = torch.zeros_like(right), right
    direction = residual / diagonal
    energy = _dot(residual, direction)
    enough = precision * _norm(right)
    for _ in range(MOST_PRODUCTS):
        open = _norm(residual) > enough  # those that are not are left as they are
        if not open.any():
            break
        image = product(direction)
        size = torch.where(open, energy / _dot(direction, image), 0.0)
        v, residual = v + _each(size, direction), residual - _each(size, image)
        scaled = residual / diagonal
        energy, previous = _dot(residual, scaled), energy
        direction = scaled + _each(torch.where(open, energy / previous, 0.0), direction)
    return v


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """[], or [M] of several systems [D, M, K]."""
    return (a * b).sum((0, -1)) if a.dim() == 3 else (a * b).sum()


def _norm(a: Tensor) -> Tensor:
    return _dot(a, a).sqrt()


def _each(size: Tensor, a: Tensor) -> Tensor:
    """Every system times its own number."""
    return size[..., None] * a

"""Meta-gradients from where the inner problem ends, not from how it got there."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.autograd.function import once_differentiable

from meta_core import mapped
from meta_core.inner_loop import DescentConfig, HeadConfig, WholeNetwork, descend
from meta_core.learner import learners
from meta_core.learners.logistic import conjugate_gradient
from meta_core.mapped import mapped_over_tasks
from meta_core.types import State, Support


class IMAMLConfig(DescentConfig, HeadConfig):
    """The inner problem, and how well its implicit gradient is solved."""

    steps: int = Field(16, ge=1, le=1000, description="gradient steps on the support")
    rate: float = Field(0.05, gt=0, le=100, description="learning rate of these steps")
    attraction: float = Field(1.0, gt=0, le=1e4, description="how strongly the start holds the adapted weights")
    precision: float = Field(1e-3, gt=0, lt=1, description="of the conjugate gradients, relative to the query gradient")


@learners.register("imaml")
class IMAML(WholeNetwork):
    """MAML by the implicit function theorem (Rajeswaran et al., 2019, arXiv:1909.04630).

    φ(θ) = argmin L(φ) + λ/2 ‖φ − θ‖², so dφ/dθ = (I + ∇²L(φ)/λ)⁻¹, applied to the slope of the queries by conjugate
    gradients at the φ that was reached: no inner step is kept in memory.
    """

    Config = IMAMLConfig
    config: IMAMLConfig
    batches_tasks = False
    first_order = "the implicit gradient is exact at the minimum of the inner problem, which few steps only approach"

    def adapt(self, support: Support) -> State:
        """Body and head where the inner problem ends."""
        start = self.start(support)
        if mapped_over_tasks():
            return self.framed(self.solve(start, support), support)
        ends = Implicit.apply(self, support, list(start), *start.values())  # type: ignore[no-untyped-call]
        return self.framed(dict(zip(start, ends, strict=True)), support)

    def room(self, device: torch.device) -> mapped.Room | None:
        """As of its kin where nothing is differentiated: the implicit gradient is of one task."""
        if torch.is_grad_enabled():
            return None
        return mapped.room(device, convolutions=not self.backbone.linear)

    def solve(self, start: State, support: Support) -> State:
        """Descend the support's loss, held by the start."""

        def held(leaves: State) -> Tensor:
            away = torch.stack([(leaves[name] - start[name]).square().sum() for name in start]).sum()
            return self.loss(leaves, support) + 0.5 * self.config.attraction * away

        return descend(held, start, self.config)


class Implicit(torch.autograd.Function):
    """φ(θ), and what a slope at φ is at θ."""

    @staticmethod
    def forward(ctx: Any, learner: IMAML, support: Support, names: list[str], *start: Tensor) -> tuple[Tensor, ...]:
        """The adapted leaves."""
        end = learner.solve(dict(zip(names, start, strict=True)), support)
        ctx.learner, ctx.support, ctx.names = learner, support, names
        ctx.save_for_backward(*end.values())
        return tuple(end.values())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        """(I + H/λ)⁻¹ · slope."""
        right = flat(slopes)
        attraction: float = ctx.learner.config.attraction
        with torch.enable_grad():
            leaves = [value.detach().requires_grad_() for value in ctx.saved_tensors]
            loss = ctx.learner.loss(dict(zip(ctx.names, leaves, strict=True)), ctx.support)
            inner = flat(torch.autograd.grad(loss, leaves, create_graph=True, materialize_grads=True))

        def product(v: Tensor) -> Tensor:
            image: tuple[Tensor, ...] = torch.autograd.grad(inner, leaves, v, retain_graph=True, materialize_grads=True)
            return v + flat(image) / attraction

        solution = conjugate_gradient(product, right, torch.ones_like(right), ctx.learner.config.precision)
        parts = torch.split(solution, [value.numel() for value in leaves])
        return None, None, None, *[part.view_as(value) for part, value in zip(parts, leaves, strict=True)]


def flat(values: tuple[Tensor, ...]) -> Tensor:
    """All of them in one vector."""
    return torch.cat([value.flatten() for value in values])

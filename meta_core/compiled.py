"""Bodies compiled by PyTorch's inductor."""

from typing import Any

import torch
from torch import Tensor

from meta_core.backbone import Backbone, Normalisation


class CompiledBody(Backbone):
    """The same map as a body in `eval` mode, its kernels fused; compiled at the first call, for any number of inputs.

    The weights are constants of what is compiled. It takes a minute, and a compiler for C on the machine.
    """

    normalisation: Normalisation = "none"

    def __init__(self, body: Backbone, backend: str = "inductor") -> None:
        super().__init__(body.shape, body.config)
        self.dimension = body.dimension
        self.body = body
        options: dict[str, Any] = {"options": {"freezing": True}} if backend == "inductor" else {}

        def run(x: Tensor) -> Tensor:  # not the module itself, of which the autocast around `forward` would be lost
            return body(x)

        self._run = torch.compile(run, backend=backend, dynamic=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        """[N, *shape] to [N, D]."""
        if torch.is_grad_enabled() and x.requires_grad:
            return self.body(x)
        z: Tensor = self._run(x)
        return z

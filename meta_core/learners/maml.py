"""Model-agnostic meta-learning."""

from torch import Tensor
from torch.func import functional_call

from meta_core.backbone import Backbone
from meta_core.inner_loop import FIRST_ORDER, Head, InnerLoopConfig, descend
from meta_core.learner import Learner, learners
from meta_core.types import Prediction, State, Support, Task

BODY = "backbone."


@learners.register("maml")
class MAML(Learner):
    """A start from which few gradient steps make a good network of the task (Finn et al., 2017, arXiv:1703.03400).

    The whole network moves, and the state is all of its adapted weights; the head is that of UNICORN-MAML (`Head`).
    """

    Config = InnerLoopConfig
    config: InnerLoopConfig
    tasks = frozenset({"classification", "regression"})
    needs_meta_training = True
    adapts_body = True
    most_left_out = 8

    def __init__(self, backbone: Backbone, config: InnerLoopConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.head = Head(backbone.dimension, task)
        self.first_order = FIRST_ORDER if config.first_order else ""

    def encode(self, x: Tensor) -> Tensor:
        """The inputs themselves: no part of the network is shared by tasks."""
        return x

    def adapt(self, support: Support) -> State:
        """Body and head after the inner steps."""
        start = {BODY + name: value for name, value in self.backbone.named_parameters()} | self.head.start(support)
        return descend(
            lambda leaves: self.head.loss(leaves, self._embed(leaves, support.x), support.y), start, self.config
        )

    def predict(self, state: State, z: Tensor) -> Prediction:
        """The adapted network's answers to inputs [Q, *shape]."""
        return self.head.answer(state, self._embed(state, z))

    def _embed(self, state: State, x: Tensor) -> Tensor:
        body = {name.removeprefix(BODY): value for name, value in state.items() if name.startswith(BODY)}
        z: Tensor = functional_call(self.backbone, body, (x,))
        return z  # [N, D]

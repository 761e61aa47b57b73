"""Almost no inner loop: MAML of the head alone."""

from torch import Tensor

from meta_core.backbone import Backbone
from meta_core.inner_loop import FIRST_ORDER, Head, NetworkConfig, descend
from meta_core.learner import Learner, learners
from meta_core.types import Prediction, State, Support, Task


@learners.register("anil")
class ANIL(Learner):
    """MAML whose inner steps move only the linear head, on embeddings shared by all tasks (arXiv:1909.09157)."""

    Config = NetworkConfig
    config: NetworkConfig
    tasks = frozenset({"classification", "regression"})
    needs_meta_training = True
    batches_tasks = True

    def __init__(self, backbone: Backbone, config: NetworkConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.head = Head(backbone.dimension, task, config.standardised)
        self.first_order = FIRST_ORDER if config.first_order else ""

    def adapt(self, support: Support) -> State:
        """The head after the inner steps."""
        head = descend(
            lambda leaves: self.head.loss(leaves, support.x, support.y), self.head.start(support), self.config
        )
        return head | self.head.frame(head, support.x)

    def predict(self, state: State, z: Tensor) -> Prediction:
        """The adapted head's answers."""
        return self.head.answer(state, z)

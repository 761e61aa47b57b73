"""Body only in the inner loop."""

from torch import Tensor

from meta_core.learner import learners
from meta_core.learners.protomaml import ProtoMAML


@learners.register("boil")
class BOIL(ProtoMAML):
    """MAML whose inner steps move only the body: the rate of the head is zero (Oh et al., 2021, arXiv:2008.08882).

    The paper's head is learned for a fixed number of named classes. Ours is that of the class means before the first
    step, W = 2c, b = −‖c‖²: any number of classes in any order. A head of zeros or of one vector shared by all classes
    would move no body.
    """

    def rate(self, step: int, name: str) -> Tensor | float:
        """Zero for the head."""
        return 0.0 if name.startswith("head.") else self.config.rate

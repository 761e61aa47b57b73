"""Proto-MAML: gradient steps from the head of a prototypical network."""

from meta_core.inner_loop import InnerLoopConfig, WholeNetwork, prototype_head
from meta_core.learner import learners
from meta_core.types import State, Support


@learners.register("protomaml")
class ProtoMAML(WholeNetwork):
    """MAML whose head starts at the class means of the support: W = 2c, b = −‖c‖² (arXiv:1903.03096).

    So it takes any number of ways; the meta-gradient flows through the means into the body.
    """

    config: InnerLoopConfig
    tasks = frozenset({"classification"})

    def start(self, support: Support) -> State:
        """The body, and the nearest class mean as a linear head on it."""
        body = self.body()
        return body | prototype_head(self.embed(body, support.x), support)

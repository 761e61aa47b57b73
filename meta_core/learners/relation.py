"""Relation networks."""

from pydantic import Field
from torch import Tensor

from meta_core.backbone import Backbone
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.learner import Learner, learners
from meta_core.learners.cnp import Perceptron
from meta_core.types import Categorical, State, Support, Task


class RelationConfig(Config):
    """Size of the network that compares."""

    width: int = Field(128, ge=4, le=4096, json_schema_extra=MADE_WITH_THE_WEIGHTS)
    layers: int = Field(2, ge=1, le=16, description="hidden layers", json_schema_extra=MADE_WITH_THE_WEIGHTS)


@learners.register("relation")
class Relation(Learner):
    """A learned comparison of a query with each class mean (Sung et al., 2018, arXiv:1711.06025).

    logit_c = g(z, μ_c). The paper compares feature maps by convolutions, sums the examples of a class, and fits a
    sigmoid to 0 or 1 by squares; here g is a perceptron on embeddings, the class is their mean so that shots do not
    matter, and softmax and log-likelihood make it a probability.
    """

    Config = RelationConfig
    needs_meta_training = True
    batches_tasks = True

    def __init__(self, backbone: Backbone, config: RelationConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.comparator = Perceptron((backbone.dimension, backbone.dimension), [config.width] * config.layers + [1])
        self.comparator.last.register_parameter("bias", None)  # it would be added to every logit alike

    def adapt(self, support: Support) -> State:
        """Class means, [C, D]."""
        return {"prototypes": support.class_means()}

    def predict(self, state: State, z: Tensor) -> Categorical:
        """Each query compared with each class."""
        relations = self.comparator(z[:, None], state["prototypes"]).squeeze(-1)  # [Q, C]
        return Categorical(relations.log_softmax(-1))

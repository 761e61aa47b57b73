"""Model regression networks: from the weights of few examples to those of many."""

import torch
from pydantic import Field
from torch import Tensor

from meta_core.backbone import Backbone
from meta_core.config import MADE_WITH_THE_WEIGHTS
from meta_core.learner import Learner, learners
from meta_core.learners.cnp import Perceptron
from meta_core.learners.ridge import Ridge, RidgeConfig
from meta_core.types import Episode, State, Support, Task


class WeightMapConfig(RidgeConfig):
    """Ridge regression with a learned penalty, and the map of its weights."""

    penalty: float = Field(0.3, ge=1e-6, le=1e6, description="start of the meta-learned penalty")
    width: int = Field(
        256, ge=4, le=4096, description="of the two hidden layers of the map", json_schema_extra=MADE_WITH_THE_WEIGHTS
    )
    likeness: float = Field(0.1, ge=0, description="weight in the meta-loss of the distance to the many-shot weights")


@learners.register("weightmap")
class WeightMap(Ridge):
    """Ridge weights, moved to where many examples would have put them (Wang & Hebert, 2016, ECCV, "Learning to learn").

    Of each class c the same residual network T maps the weights w_c of `ridge` [D + 1]:

        w*_c = w_c + T(w_c),    meta-loss = −log p(y | z, W*) + λ · ‖W* − W_many‖² / ‖W_many‖²

    W_many is the ridge regression on support and queries together, which are many where training episodes are drawn
    with many queries. The paper takes it from all examples of a class and a fixed body, and the hinge loss.
    """

    Config = WeightMapConfig
    config: WeightMapConfig
    tasks = frozenset({"classification"})
    needs_meta_training = True
    most_left_out = Learner.most_left_out
    leave_one_out = Learner.leave_one_out  # the map is not linear: nothing is in closed form any more
    adapt_and_leave_out = Learner.adapt_and_leave_out

    def __init__(self, backbone: Backbone, config: WeightMapConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        d = backbone.dimension + 1
        self.map = Perceptron((d,), [config.width, config.width, d])
        self.map.last.register_parameter("bias", None)  # the same for all classes, and so without effect
        with torch.no_grad():  # start close to the weights of the few
            self.map.last.weight.mul_(0.1)

    def adapt(self, support: Support) -> State:
        """Weights [D + 1, C] of embedding and constant."""
        few = super().adapt(support)["weight"]
        return {"weight": few + self.map(few.T).T}

    def meta_loss(self, episode: Episode) -> Tensor:
        """Negative log-likelihood of the queries, and the distance to the weights of support and queries together."""
        support = episode.support
        z = self.encode(torch.cat([support.x, episode.x]))
        state = self.adapt(Support(z[: len(support)], support.y, support.ways))
        everything = Support(z, torch.cat([support.y, episode.y]), support.ways)
        many = super().adapt(everything)["weight"]
        distance = (state["weight"] - many).square().sum() / many.square().sum()
        return self.predict(state, z[len(support) :]).nll(episode.y).mean() + self.config.likeness * distance

"""Decision trees on embeddings or raw columns."""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from meta_core.backbone import Backbone
from meta_core.config import Config
from meta_core.errors import InvalidParameter
from meta_core.learner import Learner, learners
from meta_core.types import Categorical, Episode, Gaussian, Prediction, State, Support, Task

Array = NDArray[Any]

NO_GRADIENT = "its answers are constant but for jumps: the slope of the meta-loss is zero"


class TreeConfig(Config):
    """How far the tree grows."""

    depth: int | None = Field(None, ge=1, le=1000, description="most questions from root to leaf; null: any number")
    least: int = Field(1, ge=1, le=10_000, description="fewest support examples in a leaf")


@learners.register("tree")
class Tree(Learner):
    """A decision tree (CART), fitted by scikit-learn and stored as a table of nodes.

    A leaf with n examples, n_c of class c, answers (n_c + 1) / (n + C) (Laplace); for regression the mean of its
    targets, and their variance with one more example at the variance of the whole support. Meta-training is refused:
    there is no gradient.
    """

    Config = TreeConfig
    config: TreeConfig
    tasks = frozenset({"classification", "regression"})
    without_gradient = NO_GRADIENT
    """Why the meta-loss has no gradient."""

    def __init__(self, backbone: Backbone, config: TreeConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.estimator = "DecisionTreeClassifier" if task == "classification" else "DecisionTreeRegressor"

    def adapt(self, support: Support) -> State:
        """The table of nodes; at each the class probabilities [M, C], or mean and variance of targets [M, T]."""
        x, y, _ = canonical(support)
        make = getattr(scikit_learn("tree", self.name), self.estimator)
        tree = make(max_depth=self.config.depth, min_samples_leaf=self.config.least, random_state=0).fit(x, y)
        state = table([tree])
        n = torch.from_numpy(tree.tree_.n_node_samples)[:, None]  # [M, 1]
        values = state["values"]
        if support.ways is not None:
            state["values"] = (n * values + 1) / (n + support.ways)
        else:
            squares = node_sums(tree, x, y**2) / n  # [M, T]
            spread = (n * (squares - values.square()).clamp(min=0) + variance_of(support.y)) / (n + 1)
            state["variance"] = spread.to(values)
        return stored(state, support.x)

    def predict(self, state: State, z: Tensor) -> Prediction:
        """What the leaf of each query says."""
        leaf = leaves(state, z).squeeze(-1)  # [Q]
        values = state["values"][leaf]
        return Categorical(values.log()) if self.task == "classification" else Gaussian(values, state["variance"][leaf])

    def meta_loss(self, episode: Episode) -> Tensor:
        """Raises `InvalidParameter`: this cannot be meta-trained."""
        raise InvalidParameter(f"learner {self.name} cannot be meta-trained: {self.without_gradient}")


def scikit_learn(part: str, learner: str) -> Any:
    """A module of scikit-learn. Raises `InvalidParameter` where that is not installed."""
    try:
        return importlib.import_module(f"sklearn.{part}")
    except ModuleNotFoundError:
        needed = "scikit-learn, which is not installed here: pip install 'shotput[sklearn]'"
        raise InvalidParameter(f"learner {learner} needs {needed}") from None


def canonical(support: Support) -> tuple[Array, Array, Array]:
    """Inputs and labels in an order that does not depend on theirs, and that order.

    scikit-learn takes rows as they come when it draws and when it breaks ties; a tree reads float32 anyway.
    """
    x, y = support.x.detach().cpu().float().numpy(), support.y.cpu().numpy()
    order = np.lexsort(x.T[::-1])
    return x[order], y[order], order


def table(trees: Sequence[Any]) -> State:
    """The nodes of fitted trees, one after the other; a leaf is its own child, so that a query stays there."""
    sizes = [tree.tree_.node_count for tree in trees]
    roots = np.cumsum([0, *sizes[:-1]])
    own = np.arange(sum(sizes))

    def joined(name: str) -> Array:
        return np.concatenate([getattr(tree.tree_, name) for tree in trees])

    def children(name: str) -> Array:
        child = joined(name)
        return np.where(child < 0, own, child + np.repeat(roots, sizes))

    value = joined("value")  # [M, 1, C] or [M, T, 1]
    nodes = {
        "roots": roots,
        "feature": joined("feature").clip(min=0),
        "threshold": joined("threshold"),
        "left": children("children_left"),
        "right": children("children_right"),
        "values": value.reshape(len(value), -1),
    }
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in nodes.items()}


def stored(state: State, like: Tensor) -> State:
    """The state on the device and in the precision of the support; thresholds stay exact."""
    exact = {"threshold"} | {name for name, value in state.items() if not value.is_floating_point()}
    return {name: value.to(like.device) if name in exact else value.to(like) for name, value in state.items()}


def leaves(state: State, z: Tensor) -> Tensor:
    """The node where each query ends in each of B trees, [Q, B]."""
    z = z.float().double()  # as the thresholds were made
    node = state["roots"].expand(len(z), -1)  # [Q, B]
    while True:
        below = z.gather(1, state["feature"][node]) <= state["threshold"][node]
        child = torch.where(below, state["left"][node], state["right"][node])
        if torch.equal(child, node):
            return node
        node = child


def node_sums(tree: Any, x: Array, values: Array) -> Tensor:
    """Sum of `values` [N, T] over the examples under each node, [M, T]."""
    under = tree.decision_path(x)  # [N, M]
    return torch.from_numpy(np.asarray(under.T @ values))


def variance_of(y: Tensor) -> Tensor:
    """Of each target, [T]; 1 where it is zero."""
    variance = y.cpu().double().var(0, correction=0)
    return torch.where(variance > 0, variance, torch.ones_like(variance))

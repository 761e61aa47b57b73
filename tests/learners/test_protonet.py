"""ProtoNet against three points by hand, scikit-learn's nearest centroid, and refits."""

import math

import numpy as np
import torch
from sklearn.neighbors import NearestCentroid

from meta_core.backbone import build_backbone
from meta_core.learner import Learner, build_learner
from meta_core.types import Categorical, Support


def protonet(dimension: int, scale: float = 1.0) -> Learner:
    body = build_backbone("identity", (dimension,), {})
    return build_learner("protonet", body, {"scale": scale}, "classification").double()


def test_three_points_by_hand() -> None:
    learner = protonet(1, scale=0.5)
    support = Support(torch.tensor([[0.0], [2.0], [5.0]]).double(), torch.tensor([0, 0, 1]), 2)
    answer = learner.predict(learner.adapt(support), torch.tensor([[2.0]]).double())
    assert isinstance(answer, Categorical)
    # the means are 1 and 5: squared distances 1 and 9, halved
    expected = 1 / (1 + math.exp(0.5 * 1 - 0.5 * 9))
    torch.testing.assert_close(answer.log_probabilities.exp()[0, 0].item(), expected)


def test_classes_are_those_of_the_nearest_centroid() -> None:
    rng = np.random.default_rng(0)
    x, y, queries = rng.normal(size=(30, 4)), rng.integers(0, 3, 30), rng.normal(size=(50, 4))
    learner = protonet(4)
    answer = learner.predict(
        learner.adapt(Support(torch.from_numpy(x), torch.from_numpy(y), 3)), torch.from_numpy(queries)
    )
    assert isinstance(answer, Categorical)
    np.testing.assert_array_equal(answer.log_probabilities.argmax(-1), NearestCentroid().fit(x, y).predict(queries))


def test_leaving_one_out_is_adapting_without_it() -> None:
    torch.manual_seed(0)
    support = Support(torch.randn(9, 3).double(), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2]), 3)
    learner = protonet(3)
    exact = learner.leave_one_out(support, torch.arange(9))
    refitted = Learner.leave_one_out(learner, support, torch.arange(9))
    assert isinstance(exact, Categorical)
    assert isinstance(refitted, Categorical)
    torch.testing.assert_close(exact.log_probabilities, refitted.log_probabilities)

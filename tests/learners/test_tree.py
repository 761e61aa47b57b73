import sys
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from torch import Tensor
from torch.testing import assert_close

from meta_core.errors import InvalidParameter
from meta_core.types import Gaussian, Support
from tests.learners.cases import answers, build, draw


def in_order(x: Tensor, y: Tensor) -> tuple[Any, Any]:
    order = np.lexsort(x.numpy().T[::-1])
    return x.numpy()[order], y.numpy()[order]


def test_it_answers_what_the_tree_of_scikit_learn_answers() -> None:
    episode = draw("classification", counts=(20, 15, 30), queries=200)
    learner = build(("tree", {"depth": 4, "least": 3}, "classification"), "identity")
    reference = DecisionTreeClassifier(max_depth=4, min_samples_leaf=3, random_state=0)
    reference.fit(*in_order(episode.support.x, episode.support.y))
    n = reference.tree_.n_node_samples[reference.apply(episode.x.numpy())][:, None]
    expected = torch.from_numpy((n * reference.predict_proba(episode.x.numpy()) + 1) / (n + 3))
    assert_close(answers(learner.predict(learner.adapt(episode.support), episode.x)).exp(), expected)


def test_a_regression_answers_the_mean_and_variance_of_the_leaf() -> None:
    episode = draw("regression", counts=(60,), queries=100)
    learner = build(("tree", {"least": 4}, "regression"), "identity")
    reference = DecisionTreeRegressor(min_samples_leaf=4, random_state=0)
    reference.fit(*in_order(episode.support.x, episode.support.y))
    prediction = learner.predict(learner.adapt(episode.support), episode.x)
    assert isinstance(prediction, Gaussian)
    assert_close(prediction.mean, torch.from_numpy(reference.predict(episode.x.numpy())))
    beside = reference.apply(episode.support.x.numpy()) == reference.apply(episode.x[:1].numpy())
    y, n = episode.support.y, beside.sum()
    expected = (n * y[torch.from_numpy(beside)].var(0, correction=0) + y.var(0, correction=0)) / (n + 1)
    assert_close(prediction.variance[0], expected)


def test_meta_training_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="cannot be meta-trained"):
        build(("tree", {}, "classification")).meta_loss(draw("classification"))


@pytest.mark.parametrize("name", ["tree", "forest", "svm"])
def test_without_scikit_learn_the_error_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("tree", "ensemble", "svm"):
        monkeypatch.setitem(sys.modules, f"sklearn.{part}", None)
    learner = build((name, {}, "classification"), "identity")
    with pytest.raises(InvalidParameter, match=r"needs scikit-learn.*shotput\[sklearn\]"):
        learner.adapt(Support(torch.randn(4, 4).double(), torch.tensor([0, 0, 1, 1]), 2))

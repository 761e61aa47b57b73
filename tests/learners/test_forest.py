import pytest
import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from torch.testing import assert_close

from meta_core.errors import InvalidParameter
from meta_core.types import Gaussian
from tests.learners.cases import answers, build, draw
from tests.learners.test_tree import in_order


def test_it_answers_what_the_forest_of_scikit_learn_answers() -> None:
    episode = draw("classification", counts=(9, 5, 12), queries=50)
    learner = build(("forest", {"trees": 40, "depth": 5}, "classification"), "identity")
    reference = RandomForestClassifier(40, max_depth=5, random_state=0)
    reference.fit(*in_order(episode.support.x, episode.support.y))
    expected = torch.from_numpy((40 * reference.predict_proba(episode.x.numpy()) + 1) / (40 + 3))
    assert_close(answers(learner.predict(learner.adapt(episode.support), episode.x)).exp(), expected)


def test_left_out_is_what_scikit_learn_calls_out_of_bag() -> None:
    episode = draw("regression", counts=(30,), queries=50)
    learner = build(("forest", {"trees": 60}, "regression"), "identity")
    x, y = in_order(episode.support.x, episode.support.y)
    reference = RandomForestRegressor(60, random_state=0, oob_score=True).fit(x, y)
    support = type(episode.support)(torch.from_numpy(x), torch.from_numpy(y), None)
    prediction = learner.predict(learner.adapt(support), episode.x)
    assert isinstance(prediction, Gaussian)
    assert_close(prediction.mean, torch.from_numpy(reference.predict(episode.x.numpy())))
    left_out = learner.leave_one_out(support, torch.arange(30))
    assert isinstance(left_out, Gaussian)
    trees = torch.ones(30, 1)
    for sample in reference.estimators_samples_:
        trees += ~torch.isin(torch.arange(30), torch.from_numpy(sample).long())[:, None]
    expected = (torch.from_numpy(reference.oob_prediction_) * (trees - 1) + support.y.mean(0)) / trees
    assert_close(left_out.mean, expected)


def test_meta_training_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="cannot be meta-trained"):
        build(("forest", {}, "classification")).meta_loss(draw("classification"))

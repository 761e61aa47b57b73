import torch
from torch.testing import assert_close

from meta_core.types import Support
from tests.learners.cases import answers, build, draw


def test_each_query_is_compared_with_each_class_mean_by_one_network() -> None:
    learner, episode = build(("relation", {}, "classification"), "identity"), draw("classification")
    x, y = episode.support.x, episode.support.y
    prediction = answers(learner.predict(learner.adapt(episode.support), episode.x))
    for q, query in enumerate(episode.x):
        relations = [learner.comparator(query, x[y == c].mean(0)) for c in range(3)]
        assert_close(prediction[q], torch.cat(relations).log_softmax(0))


def test_the_number_of_shots_does_not_matter_to_the_comparison() -> None:
    learner, episode = build(("relation", {}, "classification"), "identity"), draw("classification")
    support = episode.support
    twice = Support(torch.cat([support.x, support.x]), torch.cat([support.y, support.y]), 3)
    once = learner.predict(learner.adapt(support), episode.x)
    assert_close(answers(learner.predict(learner.adapt(twice), episode.x)), answers(once))

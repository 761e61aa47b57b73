"""`average` against means worked out by hand."""

import pytest
import torch
from torch.testing import assert_close

from meta_core.backbone import build_backbone
from meta_core.errors import InvalidParameter
from meta_core.learner import build_learner
from meta_core.types import Categorical, Gaussian
from tests.learners.cases import adapted, build, draw, encoded


def test_probabilities_are_the_mean_of_the_members() -> None:
    episode, members = draw("classification"), ("protonet", "ridge", "gp")
    average = build(("average", {}, "classification"))
    prediction = average.predict(adapted(average, episode.support), average.encode(episode.x))
    alone = []
    for name in members:
        member = build((name, {}, "classification"))
        answer = member.predict(adapted(member, episode.support), member.encode(episode.x))
        assert isinstance(answer, Categorical)
        alone.append(answer.log_probabilities.exp())
    assert isinstance(prediction, Categorical)
    assert_close(prediction.log_probabilities.exp(), sum(alone, torch.zeros(())) / 3)


def test_normals_are_mixed_by_their_moments() -> None:
    episode = draw("regression")
    average = build(("average", {"members": ["ridge", "gp"]}, "regression"))
    found = average.predict(adapted(average, episode.support), average.encode(episode.x))
    pair = []
    for name in ("ridge", "gp"):
        member = build((name, {}, "regression"))
        pair.append(member.predict(adapted(member, episode.support), member.encode(episode.x)))
    one, two = pair
    assert isinstance(found, Gaussian)
    assert isinstance(one, Gaussian)
    assert isinstance(two, Gaussian)
    assert_close(found.mean, (one.mean + two.mean) / 2)
    second_moment = (one.variance + one.mean**2 + two.variance + two.mean**2) / 2
    assert_close(found.variance, second_moment - found.mean**2)


def test_leaving_out_is_that_of_adapting_without() -> None:
    learner = build(("average", {"members": ["protonet", "matching"]}, "classification"))
    support = encoded(learner, draw("classification").support)
    left_out = torch.tensor([0, 4])
    answers = learner.leave_one_out(support, left_out)
    assert isinstance(answers, Categorical)
    for row, i in enumerate(left_out.tolist()):
        alone = learner.predict(learner.adapt(support.without(i)), support.x[i : i + 1])
        assert isinstance(alone, Categorical)
        assert_close(answers.log_probabilities[row : row + 1], alone.log_probabilities)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (["ridge", "lora"], "does not take embeddings"),
        (["ridge", "stack"], "has members itself"),
        (["ridge"], "at least 2"),
        (["ridge", {"learner": "gp", "params": {"nothing": 1}}], "no parameter 'nothing'"),
    ],
)
def test_members_that_cannot_be_are_refused(members: list[object], reason: str) -> None:
    backbone = build_backbone("identity", (4,), {})
    with pytest.raises(InvalidParameter, match=reason):
        build_learner("average", backbone, {"members": members}, "classification")


def test_members_that_do_another_task_are_refused() -> None:
    backbone = build_backbone("identity", (4,), {})
    with pytest.raises(InvalidParameter, match="does classification, not regression"):
        build_learner("average", backbone, {"members": ["ridge", "protonet"]}, "regression")

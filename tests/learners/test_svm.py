from typing import Any

import pytest
import sklearn.svm
import torch
from torch.testing import assert_close

from meta_core.types import Support
from tests.learners.cases import answers, build, draw


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_the_margins_are_those_of_scikit_learn_for_each_class_against_the_rest(kernel: str) -> None:
    values: dict[str, Any] = {"kernel": kernel, "inverse_penalty": 2.0, "scale": 3.0}
    learner, episode = build(("svm", values, "classification"), "identity"), draw("classification", counts=(9, 5, 12))
    x, y = episode.support.x, episode.support.y
    unit = (x - x.mean(0)).square().sum(-1).mean().sqrt()
    margins = []
    for c in range(3):
        machine = sklearn.svm.SVC(kernel=kernel, C=2.0, gamma=1.0, class_weight="balanced", tol=1e-8)
        machine.fit(((x - x.mean(0)) / unit).numpy(), (y == c).numpy())
        margins.append(torch.from_numpy(machine.decision_function(((episode.x - x.mean(0)) / unit).numpy())))
    expected = (3 * torch.stack(margins, -1)).log_softmax(-1)
    prediction = learner.predict(learner.adapt(episode.support), episode.x)
    assert_close(answers(prediction).detach(), expected, rtol=1e-4, atol=1e-4)


def test_only_support_vectors_are_kept() -> None:
    learner = build(("svm", {"kernel": "linear"}, "classification"), "identity", (1,))
    x = torch.tensor([[-9.0], [-8.0], [-1.0], [1.0], [8.0], [9.0]]).double()
    state = learner.adapt(Support(x, torch.tensor([0, 0, 0, 1, 1, 1]), 2))
    assert len(state["points"]) == 2


def test_the_scale_of_the_embedding_does_not_matter() -> None:
    episode, learner = draw("classification"), build(("svm", {}, "classification"), "identity")
    large = Support(1000 * episode.support.x, episode.support.y, 3)
    small = learner.predict(learner.adapt(episode.support), episode.x)
    assert_close(answers(learner.predict(learner.adapt(large), 1000 * episode.x)), answers(small), rtol=1e-5, atol=1e-5)

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from meta_core.episodes import Size, TaskSource
from meta_core.evaluation import evaluate
from meta_core.learner import Learner
from meta_core.training import MetaTraining, TrainingConfig
from meta_core.types import Episode, Support, Task
from tests.learners.cases import build, draw


class Stretched(TaskSource):
    """Classes are balls in sixteen dimensions, stretched along the same two directions."""

    task: Task = "classification"
    shape = (16,)

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        centres, y = torch.randn(size.ways, 16, generator=rng), torch.arange(size.ways)
        labels = y.repeat(size.shots + size.queries)
        stretch = torch.cat([torch.full((2,), 4.0), torch.full((14,), 0.3)])
        x = centres[labels] + stretch * torch.randn(len(labels), 16, generator=rng)
        n = size.ways * size.shots
        return Episode(Support(x[:n], labels[:n], size.ways), x[n:], labels[n:])


@pytest.fixture(scope="module")
def trained() -> Learner:
    learner = build(("hallucinate", {}, "classification"), "identity", (16,)).float()
    config = TrainingConfig(steps=300, ways=5, shots=1, queries=10, rate=3e-3, weight_decay=0, average=0.9)
    MetaTraining(learner, config, Stretched(), None).run(lambda progress: None)
    return learner


def accuracy(learner: Learner, shots: int) -> float:
    result = evaluate(learner, Stretched(), Size(ways=5, shots=shots), 100, torch.Generator().manual_seed(9))
    assert result.accuracy is not None
    return result.accuracy


def without_it(learner: Learner) -> Learner:
    head = build(("hallucinate", {}, "classification"), "identity", (16,)).float()
    head.load_state_dict({**learner.state_dict(), "share": torch.tensor(-torch.inf)})
    return head


def test_it_helps_one_shot_and_does_not_hurt_five(trained: Learner) -> None:
    head = without_it(trained)
    assert accuracy(trained, 1) > accuracy(head, 1) + 0.05
    assert accuracy(trained, 5) > accuracy(head, 5) - 0.005


def test_a_share_of_nothing_is_the_ridge_of_the_real() -> None:
    learner = build(("hallucinate", {}, "classification"), "identity")
    learner.share.data.fill_(-torch.inf)
    plain = build(("ridge", {"penalty": 0.3}, "classification"), "identity")
    support = draw("classification").support
    assert_close(learner.adapt(support), plain.adapt(support))


def test_a_class_alone_is_mixed_from_both_regressions() -> None:
    learner = build(("hallucinate", {"samples": 2}, "classification"), "identity")
    plain = build(("ridge", {"penalty": 0.3}, "classification"), "identity")
    support = draw("classification", counts=(1, 2)).support
    fake = learner.generated(support)
    both = replace(support, x=torch.cat([support.x, *fake]), y=torch.cat([support.y, torch.tensor([0, 0, 1, 1])]))
    real, more = plain.adapt(support)["weight"], plain.adapt(both)["weight"]
    expected = torch.stack([0.5 * (real + more)[:, 0], (0.875 * real + 0.125 * more)[:, 1]], 1)
    assert_close(learner.adapt(support)["weight"], expected)


def test_judge_and_generator_pull_in_opposite_directions() -> None:
    learner, episode = build(("hallucinate", {}, "classification"), "identity"), draw("classification")
    encoded = learner.encode_episode(episode)

    def judged_real() -> torch.Tensor:
        means = encoded.support.class_means()[:, None]
        size = encoded.support.x.square().mean().sqrt()
        return learner.judge(learner.generated(encoded.support) / size, means / size).mean()

    before = judged_real()
    loss = learner._adversarial(encoded, learner.generated(encoded.support))
    for network, sign in ((learner.generator, 1), (learner.judge, -1)):
        kept = {name: value.clone() for name, value in network.state_dict().items()}
        slopes = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
        with torch.no_grad():
            for parameter, slope in zip(network.parameters(), slopes, strict=True):
                parameter.sub_(1e-3 * slope)
        assert sign * (judged_real() - before) > 0
        network.load_state_dict(kept)


def test_examples_of_a_class_differ_and_the_noise_travels_with_the_weights() -> None:
    learner, support = build(("hallucinate", {}, "classification"), "identity"), draw("classification").support
    assert torch.pdist(learner.generated(support)[0]).min() > 0
    assert "noise" in learner.state_dict()

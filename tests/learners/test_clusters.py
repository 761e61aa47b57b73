from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from meta_core.errors import InvalidTask
from meta_core.types import Support
from tests.learners.cases import answers, build, draw

WAYS, DIMENSION = 5, 16
Sample = tuple[Tensor, Tensor]


def accuracy(name: str, support: Support, queries: Sample) -> Tensor:
    learner = build((name, {}, "classification"), "identity", (DIMENSION,))
    prediction = answers(learner.predict(learner.adapt(support), queries[0]))
    return (prediction.argmax(-1) == queries[1]).double().mean()


def mixture(modes: int, spread: float, noise: float, counts: list[int], rng: torch.Generator) -> list[Sample]:
    centres = spread * torch.randn(WAYS, modes, DIMENSION, generator=rng).double()
    samples = []
    for n in counts:
        y = torch.arange(WAYS).repeat(n)
        which = torch.randint(modes, (len(y),), generator=rng)
        samples.append((centres[y, which] + noise * torch.randn(len(y), DIMENSION, generator=rng).double(), y))
    return samples


def test_one_prototype_a_class_and_nothing_unlabelled_is_protonet() -> None:
    episode = draw("classification")
    learner = build(("clusters", {"prototypes": 1, "scale": 3.0}, "classification"), "identity")
    state = learner.adapt(episode.support)
    protonet = build(("protonet", {"scale": state["sharpness"].item()}, "classification"), "identity")
    expected = answers(protonet.predict(protonet.adapt(episode.support), episode.x))
    assert_close(answers(learner.predict(state, episode.x)), expected, rtol=1e-6, atol=1e-6)


def test_three_points_by_hand() -> None:
    learner = build(("clusters", {"prototypes": 1, "steps": 1, "scale": 1.0}, "classification"), "identity", (1,))
    x = torch.tensor([[-1.0], [1.0]]).double()
    state = learner.adapt(Support(x, torch.tensor([0, 1]), 2, unlabelled=torch.tensor([[0.5]]).double()))
    near = 1 / (1 + torch.tensor(-2.0).double().exp())  # squared distances 2.25 and 0.25, in units of 1
    expected = torch.stack([(-1 + 0.5 * (1 - near)) / (2 - near), (1 + 0.5 * near) / (1 + near)])[:, None]
    assert_close(state["prototypes"].detach(), expected)


@torch.no_grad()
def test_unlabelled_examples_help() -> None:
    rng, gained = torch.Generator().manual_seed(0), []
    for _ in range(50):
        (x, y), (unlabelled, _), queries = mixture(1, 1.0, 1.0, [1, 20, 10], rng)
        support = Support(x, y, WAYS)
        with_them = accuracy("clusters", replace(support, unlabelled=unlabelled), queries)
        gained.append(with_them - accuracy("protonet", support, queries))
    assert torch.stack(gained).mean() > 0.1


@torch.no_grad()
def test_a_class_of_several_kinds_gets_several_prototypes() -> None:
    rng, gained = torch.Generator().manual_seed(0), []
    for _ in range(20):
        (x, y), queries = mixture(3, 1.5, 0.5, [20, 10], rng)
        support = Support(x, y, WAYS)
        gained.append(accuracy("clusters", support, queries) - accuracy("protonet", support, queries))
    assert torch.stack(gained).mean() > 0.1


def test_the_scale_of_the_embedding_does_not_matter() -> None:
    episode, learner = draw("classification"), build(("clusters", {}, "classification"), "identity")
    support = replace(episode.support, unlabelled=episode.x.flip(0))
    large = replace(support, x=1000 * support.x, unlabelled=1000 * episode.x.flip(0))
    small = learner.predict(learner.adapt(support), episode.x)
    assert_close(answers(learner.predict(learner.adapt(large), 1000 * episode.x)), answers(small))


def test_unlabelled_inputs_go_through_the_body_when_meta_training() -> None:
    learner, episode = build(("clusters", {}, "classification")), draw("classification")
    inputs = torch.randn(7, 4, generator=torch.Generator().manual_seed(1)).double().requires_grad_()
    learner.meta_loss(replace(episode, support=replace(episode.support, unlabelled=inputs))).backward()
    assert inputs.grad is not None
    assert inputs.grad.any()


def test_unlabelled_examples_stay_when_another_is_left_out_and_must_be_alike() -> None:
    support = replace(draw("classification").support, unlabelled=torch.zeros(2, 4))
    assert support.without(0).unlabelled is support.unlabelled
    with pytest.raises(InvalidTask, match="unlabelled examples are of shape"):
        replace(support, unlabelled=torch.zeros(2, 5))

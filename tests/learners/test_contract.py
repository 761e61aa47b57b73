"""The rules of the learner contract, by their numbers in it, checked for every registered learner unasked."""

import copy

import pytest
import torch
from torch.testing import assert_close

from meta_core.artifact import pack, unpack
from meta_core.backbone import build_backbone
from meta_core.calibration import calibrated
from meta_core.episodes import Size
from meta_core.evaluation import evaluate
from meta_core.learner import Learner, build_learner, learners
from meta_core.together import predict_together
from meta_core.training import MetaTraining, TrainingConfig
from meta_core.types import Episode, Support
from tests.learners.cases import BODIES, Case, Clusters, Lines, adapted, answers, build, cases, draw, encoded

every_learner = pytest.mark.parametrize("case", cases())
every_body = pytest.mark.parametrize("body", BODIES)


@every_learner
@every_body
@torch.no_grad()
def test_1_a_query_is_answered_alone_as_among_others(case: Case, body: str) -> None:
    learner, episode = build(case, body), draw(case[2], BODIES[body][0])
    state = adapted(learner, episode.support)
    together = answers(learner.predict(state, learner.encode(episode.x)))
    alone = answers(learner.predict(state, learner.encode(episode.x[3:4])))
    assert_close(together[..., 3:4, :], alone)


@every_learner
@torch.no_grad()
def test_2_the_order_of_the_support_is_irrelevant(case: Case) -> None:
    learner, episode = build(case), draw(case[2])
    support = episode.support
    order = torch.randperm(len(support), generator=torch.Generator().manual_seed(1))
    shuffled = Support(support.x[order], support.y[order], support.ways)
    assert_close(_answered(learner, support, episode), _answered(learner, shuffled, episode))


@every_learner
@torch.no_grad()
def test_3_renaming_the_classes_renames_the_answer(case: Case) -> None:
    learner, episode = build(case), draw(case[2])
    support = episode.support
    if support.ways is None:
        renamed, back = Support(support.x, support.y.flip(1), None), torch.tensor([1, 0])
    else:
        back = torch.tensor([2, 0, 1])  # the new name of each class
        renamed = Support(support.x, back[support.y], support.ways)
    assert_close(_answered(learner, support, episode), _answered(learner, renamed, episode)[..., back])


@every_learner
@torch.no_grad()
def test_4_asking_twice_gives_the_same_answer(case: Case) -> None:
    learner, episode = build(case), draw(case[2])
    state, z = adapted(learner, episode.support), learner.encode(episode.x)
    assert torch.equal(answers(learner.predict(state, z)), answers(learner.predict(state, z)))


@every_learner
def test_5_learner_and_support_are_left_as_they_were(case: Case) -> None:
    learner, episode = build(case), draw(case[2])
    weights, x, y = copy.deepcopy(learner.state_dict()), episode.support.x.clone(), episode.support.y.clone()
    learner.predict(adapted(learner, episode.support), learner.encode(episode.x))
    learner.leave_one_out(encoded(learner, episode.support), torch.arange(2))
    assert all(torch.equal(value, weights[name]) for name, value in learner.state_dict().items())
    assert all(p.grad is None for p in learner.parameters())
    assert torch.equal(episode.support.x, x)
    assert torch.equal(episode.support.y, y)


@every_learner
@every_body
@torch.no_grad()
def test_6_tasks_encoded_together_are_answered_as_each_alone(case: Case, body: str) -> None:
    learner, shape = build(case, body), BODIES[body][0]
    episodes = [draw(case[2], shape, counts) for counts in ((3, 2, 4), (1, 1), (5, 2, 1, 1))]
    encodings = learner.encode(torch.cat([e.support.x for e in episodes])).split([len(e.support) for e in episodes])
    for episode, z in zip(episodes, encodings, strict=True):
        state = learner.adapt(Support(z, episode.support.y, episode.support.ways))
        together = answers(learner.predict(state, learner.encode(episode.x)))
        assert_close(together, _answered(learner, episode.support, episode))


@every_learner
@torch.no_grad()
def test_7_the_state_survives_storage_bit_for_bit(case: Case) -> None:
    learner, episode = build(case), draw(case[2])
    state = adapted(learner, episode.support)
    stored, _ = unpack(pack(state, {}))
    assert stored.keys() == state.keys()
    assert all(torch.equal(stored[name], state[name]) for name in state)
    z = learner.encode(episode.x)
    assert_close(answers(learner.predict(stored, z)), answers(learner.predict(state, z)))


@every_learner
def test_8_no_grad_changes_only_the_graph(case: Case) -> None:
    learner, episode = build(case), draw(case[2])
    with torch.no_grad():
        without = adapted(learner, episode.support)
    assert not any(value.requires_grad for value in without.values())
    assert_close(without, {name: value.detach() for name, value in adapted(learner, episode.support).items()})


@every_learner
def test_8_a_frozen_learner_adapts_all_the_same(case: Case) -> None:
    learner, episode = build(case), draw(case[2])
    expected = {name: value.detach() for name, value in adapted(learner, episode.support).items()}
    learner.requires_grad_(False)
    assert_close({name: value.detach() for name, value in adapted(learner, episode.support).items()}, expected)


@every_learner
def test_9_every_meta_parameter_gets_a_gradient(case: Case) -> None:
    learner = build(case)
    if reason := learner.without_gradient:
        pytest.skip(reason)
    learner.meta_loss(draw(case[2])).backward()
    without = [name for name, p in learner.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


@every_learner
def test_10_the_meta_gradient_is_the_slope_of_the_meta_loss(case: Case) -> None:
    learner, episode = build(case), draw(case[2])
    if reason := learner.without_gradient or learner.first_order:
        pytest.skip(reason)
    learner.meta_loss(episode).backward()
    rng = torch.Generator().manual_seed(2)
    direction = [torch.randn(p.shape, generator=rng, dtype=p.dtype) for p in learner.parameters()]
    slope = sum((p.grad * d).sum() for p, d in zip(learner.parameters(), direction, strict=True) if p.grad is not None)
    measured = [_measured_slope(learner, episode, direction, step) for step in (1e-5, 1e-6)]
    # the nearer of the two: a kink of a ReLU may lie within the longer step
    assert_close(min(measured, key=lambda m: abs(m - slope)), torch.as_tensor(slope), rtol=1e-5, atol=1e-8)


@every_learner
@pytest.mark.parametrize(
    "counts", [(1, 1), (1, 100), (2, 1, 3, 9, 1), tuple(range(1, 6)) * 10], ids=["2", "1+100", "5", "50"]
)
@torch.no_grad()
def test_11_any_ways_and_shots_balanced_or_not(case: Case, counts: tuple[int, ...]) -> None:
    learner, episode = build(case), draw(case[2], counts=counts)
    prediction = learner.predict(adapted(learner, episode.support), learner.encode(episode.x))
    assert answers(prediction).isfinite().all()
    if case[2] == "classification":
        assert_close(answers(prediction).exp().sum(-1), torch.ones(6, dtype=torch.float64))
        assert answers(prediction).shape == (6, len(counts))
    else:
        assert (answers(prediction)[1] > 0).all()


@every_learner
@torch.no_grad()
def test_11_a_single_point_is_enough_for_a_regression(case: Case) -> None:
    if case[2] == "classification":
        pytest.skip("a classification has two classes at least")
    learner, episode = build(case), draw("regression", counts=(1,))
    prediction = answers(learner.predict(adapted(learner, episode.support), learner.encode(episode.x)))
    assert prediction.isfinite().all()
    assert (prediction[1] > 0).all()


@pytest.mark.parametrize("case", cases(more={}))
def test_12_it_learns_what_is_easy(case: Case) -> None:
    source = Clusters() if case[2] == "classification" else Lines()
    learner = build(case, "mlp" if learners[case[0]].needs_meta_training else "identity", source.shape)
    if learner.needs_meta_training:
        config = TrainingConfig(steps=150, ways=3, shots=5, rate=5e-3, weight_decay=0, average=0.9)
        MetaTraining(learner.float(), config, source, None).run(lambda progress: None)
    result = evaluate(learner.float(), source, Size(ways=3, shots=5, queries=10), 25, torch.Generator().manual_seed(3))
    if result.accuracy is None:
        assert result.mse is not None
        assert result.mse < 0.8  # the variance of the targets is 1 + 16/12
    else:
        assert result.accuracy > 0.9


@every_learner
@torch.no_grad()
def test_13_a_seed_decides_everything(case: Case) -> None:
    episode, results = draw(case[2]), []
    for _ in range(2):
        learner = build(case)
        before = torch.get_rng_state()
        results.append(_answered(learner, episode.support, episode))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*results)


@every_learner
def test_leaving_out_answers_each_asked_example(case: Case) -> None:
    learner, episode = build(case), draw(case[2])
    prediction = learner.leave_one_out(encoded(learner, episode.support), torch.tensor([5, 0]))
    assert len(prediction) == 2
    assert answers(prediction).isfinite().all()


@every_learner
@torch.no_grad()
def test_its_inference_form_answers_alike(case: Case) -> None:
    if learners[case[0]].adapts_body:
        pytest.skip("it adapts the body, which has no other form then")
    episode = draw(case[2], (1, 16, 16))
    shape, values = BODIES["conv4"]
    torch.manual_seed(0)
    learner = build_learner(case[0], build_backbone("conv4", shape, {**values, "norm": "batch"}), case[1], case[2])
    learner.double().backbone(torch.randn(30, *shape, dtype=torch.float64) + 1)
    expected = _answered(learner.eval(), episode.support, episode)
    assert_close(_answered(learner.inference(), episode.support, episode), expected, rtol=1e-5, atol=1e-5)


@every_learner
@torch.no_grad()
def test_stacked_states_answer_as_each_alone(case: Case) -> None:
    learner = build(case)
    episodes = [draw(case[2], counts=counts) for counts in ((3, 2, 4), (3, 5, 3), (6, 2, 2))]
    states = [adapted(learner, episode.support) for episode in episodes]
    queries = [learner.encode(episode.x[:size]) for size, episode in zip((6, 3, 5), episodes, strict=True)]
    with torch.inference_mode():  # as the engine does
        together = predict_together(learner, states, queries, [1.0, 0.5, 2.0])
    for state, z, c, prediction in zip(states, queries, (1.0, 0.5, 2.0), together, strict=True):
        assert_close(answers(prediction), answers(calibrated(learner.predict(state, z), c)))


@every_learner
@torch.no_grad()
def test_adapting_and_leaving_out_at_once_are_the_same_as_one_by_one(case: Case) -> None:
    learner, episode = build(case), draw(case[2])
    support = encoded(learner, episode.support)
    left_out = torch.arange(len(support))
    state, prediction = learner.adapt_and_leave_out(support, left_out)
    assert_close(state, learner.adapt(support))
    assert_close(answers(prediction), answers(learner.leave_one_out(support, left_out)))


def _answered(learner: Learner, support: Support, episode: Episode) -> torch.Tensor:
    return answers(learner.predict(adapted(learner, support), learner.encode(episode.x)))


def _measured_slope(learner: Learner, episode: Episode, direction: list[torch.Tensor], step: float) -> torch.Tensor:
    forth, back = (_moved_loss(learner, episode, direction, signed) for signed in (step, -step))
    return (forth - back) / (2 * step)


@torch.no_grad()
def _moved_loss(learner: Learner, episode: Episode, direction: list[torch.Tensor], step: float) -> torch.Tensor:
    moved = copy.deepcopy(learner)
    for parameter, d in zip(moved.parameters(), direction, strict=True):
        parameter.add_(step * d)
    return moved.meta_loss(episode)

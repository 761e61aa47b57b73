import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from meta_core.backbone import build_backbone
from meta_core.episodes import ClassSource, Size
from meta_core.errors import Cancelled, CorruptArtifact, InvalidTask
from meta_core.evaluation import evaluate, expected_calibration_error, mean_and_interval
from meta_core.learner import Learner, build_learner
from meta_core.optimisation import build_optimizer, rate_at
from meta_core.training import MetaTraining, Progress, TrainingConfig
from meta_core.types import Categorical, Episode

SMALL = TrainingConfig(steps=12, ways=3, shots=2, queries=3, rate=0.01, validate_every=4, validation_tasks=3, warm_up=3)


def rings(seed: int) -> ClassSource:
    """Classes are rings: their radius tells them apart, their mean does not."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.arange(20).repeat_interleave(20)
    angle = 2 * math.pi * torch.rand(len(y), generator=rng)
    return ClassSource(torch.stack([angle.cos(), angle.sin()], -1) * (1 + y[:, None] / 2), y)


def protonet(seed: int = 0) -> Learner:
    torch.manual_seed(seed)
    return build_learner("protonet", build_backbone("mlp", (2,), {"width": 32}), {}, "classification")


class Kept:
    """A checkpoint store that keeps the last one, and stops the training after a number of them."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] | None = None

    def load(self) -> dict[str, Tensor] | None:
        return self.tensors

    def save(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = {name: value.clone() for name, value in tensors.items()}


def ignore(progress: Progress) -> None:
    pass


def stop_in_step_six(progress: Progress) -> None:
    if progress.step == 6:
        raise Cancelled("stopped")


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_resumed_training_ends_bit_for_bit_as_an_unbroken_one(optimizer: str) -> None:
    config = TrainingConfig.model_validate({**SMALL.model_dump(), "optimizer": optimizer})
    unbroken, broken, kept = protonet(), protonet(), Kept()
    MetaTraining(unbroken, config, rings(0), rings(1)).run(ignore)
    with pytest.raises(Cancelled):
        MetaTraining(broken, config, rings(0), rings(1)).run(stop_in_step_six, kept)
    resumed = protonet(seed=7)
    MetaTraining(resumed, config, rings(0), rings(1)).run(ignore, kept)
    expected = unbroken.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())


def test_a_checkpoint_of_another_training_is_refused() -> None:
    tensors = MetaTraining(protonet(), SMALL, rings(0), None).tensors()
    tensors.pop("average.log_scale")
    with pytest.raises(CorruptArtifact, match="does not fit this training"):
        MetaTraining(protonet(), SMALL, rings(0), None).restore(tensors)


def test_training_makes_a_learner_better_on_classes_it_has_not_seen() -> None:
    learner, size = protonet(), Size(ways=5, shots=5)
    before = evaluate(learner, rings(1), size, 40, torch.Generator().manual_seed(0))
    config = TrainingConfig(steps=150, ways=5, shots=5, rate=0.01, average=0.9)
    MetaTraining(learner, config, rings(0), None).run(ignore)
    after = evaluate(learner, rings(1), size, 40, torch.Generator().manual_seed(0))
    assert before.episode_hash == after.episode_hash
    assert before.accuracy is not None
    assert after.accuracy is not None
    assert after.accuracy > before.accuracy + 0.1
    assert after.nll < before.nll


def test_every_step_is_reported() -> None:
    reports: list[Progress] = []
    MetaTraining(protonet(), SMALL, rings(0), rings(1)).run(reports.append)
    assert [r.step for r in reports] == list(range(1, 13))
    assert [r.validation is None for r in reports] == [True] * 3 + [False] * 9
    assert [r.episodes for r in reports] == list(range(1, 13))
    assert [r.rate for r in reports] == [rate_at(step, 12, SMALL) for step in range(12)]


def test_a_diverging_training_says_where() -> None:
    config = TrainingConfig(steps=50, ways=3, optimizer="sgd", rate=10, clip=1e9)
    learner = protonet()
    learner.backbone.layers[0].weight.data.mul_(1e30)
    with pytest.raises(InvalidTask, match="at step 0"):
        MetaTraining(learner, config, rings(0), None).run(ignore)


def test_the_rate_rises_then_falls_along_a_cosine() -> None:
    config = TrainingConfig(warm_up=10, rate=0.2)
    rates = [rate_at(step, 110, config) for step in (0, 9, 10, 35, 60, 110)]
    assert rates == pytest.approx([0.02, 0.2, 0.2, 0.1 * (1 + math.sqrt(0.5)), 0.1, 0.0])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("step", [0.2, 0.2, 0.02, 0.002]), ("linear", [0.2, 0.15, 0.1, 0.0]), ("constant", [0.2] * 4)],
)
def test_other_schedules_fall_as_they_say(schedule: str, expected: list[float]) -> None:
    config = TrainingConfig.model_validate({"rate": 0.2, "schedule": schedule, "decay": 0.1, "decay_every": 40})
    assert [rate_at(step, 100, config) for step in (0, 25, 50, 100)] == pytest.approx(expected)


def test_the_learned_rates_of_metasgd_move_at_their_own_pace_and_do_not_decay() -> None:
    learner = build_learner("metasgd", build_backbone("mlp", (2,), {}), {"pace": 7.0}, "classification")
    usual, rates = build_optimizer(learner, TrainingConfig(weight_decay=0.1)).param_groups
    assert {id(p) for p in rates["params"]} == {id(p) for p in learner.deltas.values()}
    assert {id(p) for p in usual["params"]} == {id(p) for p in learner.parameters()} - {id(p) for p in rates["params"]}
    assert (usual["weight_decay"], rates["weight_decay"], usual["pace"], rates["pace"]) == (0.1, 0.0, 1.0, 7.0)


def test_a_frozen_body_stays_as_it_was() -> None:
    learner = protonet()
    learner.backbone.requires_grad_(False)
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    MetaTraining(learner, SMALL, rings(0), None).run(ignore)
    moved = [name for name, value in learner.state_dict().items() if not value.equal(before[name])]
    assert moved == ["log_scale"]


def test_bfloat16_is_for_the_body_and_nearly_the_same() -> None:
    learners = [protonet(), protonet()]
    for learner, precision in zip(learners, ("float32", "bfloat16"), strict=True):
        config = TrainingConfig.model_validate({**SMALL.model_dump(), "precision": precision})
        MetaTraining(learner, config, rings(0), None).run(ignore)
    weights = [learner.state_dict() for learner in learners]
    assert all(value.dtype == torch.float32 for value in weights[1].values())
    assert not all(value.equal(weights[0][name]) for name, value in weights[1].items())
    assert_close(weights[1], weights[0], atol=0.03, rtol=0.1)


def test_shots_vary_where_that_is_wanted() -> None:
    class Noting(ClassSource):
        def draw(self, size: Size, rng: torch.Generator) -> Episode:
            shots.append(size.shots)
            return super().draw(size, rng)

    shots: list[int] = []
    config = TrainingConfig.model_validate({**SMALL.model_dump(), "fewest_shots": 1, "shots": 3, "steps": 30})
    rows = rings(0)
    MetaTraining(protonet(), config, Noting(rows.x, torch.arange(20).repeat_interleave(20)), None).run(ignore)
    assert set(shots) == {1, 2, 3}


def test_the_interval_is_the_one_of_the_textbook() -> None:
    mean, interval = mean_and_interval([0.0, 1.0, 1.0, 0.0])
    assert mean == 0.5
    assert interval == pytest.approx(1.96 * math.sqrt(1 / 3) / 2)
    assert mean_and_interval([0.7]) == pytest.approx((0.7, 0.0))


def test_calibration_error_of_three_answers_by_hand() -> None:
    # bins of 1/15: 0.5 and 0.52 share the eighth, with mean 0.51 and accuracy ½; 1.0 is right and falls in the last
    error = expected_calibration_error(torch.tensor([0.5, 0.52, 1.0]), torch.tensor([1.0, 0.0, 1.0]))
    assert error == pytest.approx(2 / 3 * 0.01, abs=1e-6)
    assert expected_calibration_error(torch.tensor([0.9] * 10), torch.tensor([1.0] * 9 + [0.0])) == pytest.approx(
        0, abs=1e-6
    )


def test_an_evaluation_is_the_mean_over_its_tasks() -> None:
    learner, size = protonet(), Size(ways=3, shots=2, queries=4)
    result = evaluate(learner, rings(0), size, 5, torch.Generator().manual_seed(3))
    rng, right, nll = torch.Generator().manual_seed(3), [], []
    for _ in range(5):
        episode = rings(0).draw(size, rng)
        prediction = learner.predict(
            learner.adapt(type(episode.support)(learner.encode(episode.support.x), episode.support.y, 3)),
            learner.encode(episode.x),
        )
        assert isinstance(prediction, Categorical)
        right.append((prediction.log_probabilities.argmax(-1) == episode.y).float().mean().item())
        nll.append(prediction.nll(episode.y).mean())
    assert (result.accuracy, result.interval) == pytest.approx(mean_and_interval(right))
    assert_close(torch.tensor(result.nll), torch.stack(nll).mean().detach())

"""`auto` and what it has learned beforehand."""

import math
from dataclasses import replace

import pytest
import torch

from meta_core import auto
from meta_core.backbone import build_backbone
from meta_core.base import Base, BaseSpec
from meta_core.calibration import CalibrationPrior, calibrated, sharpness_curve
from meta_core.catalogue import Catalogue
from meta_core.episodes import Size
from meta_core.errors import InvalidParameter
from meta_core.expectations import learn
from meta_core.experience import Experience, experiences
from meta_core.fusion import member_weights
from meta_core.learner import build_learner
from meta_core.selection import Expectation, Selection, load_selection, scored, unscored
from meta_core.store import Store
from meta_core.task_features import NAMES, task_features
from meta_core.types import Categorical, Episode, Gaussian, Support
from tests.learners.cases import Lines

COSTS = {"protonet": 0.1, "ridge": 1.0, "gp": 100.0}
PLAIN = Base(
    name="plain",
    version=1,
    summary="",
    spec=BaseSpec(modality="vector", backbone="identity", learners={"classification": ("protonet", {})}),
    weights={},
    provenance={},
    scores={},
)


def knowing(scores: dict[str, float], noise: float = 10.0) -> Selection:
    """A selection that expects these scores, whatever the task."""
    constant = [0.0] * len(NAMES)
    expectations = {
        name: Expectation(
            weights=[*constant, score],
            cost=[0.0, 0.0, 0.0, math.log(COSTS[name])],
            calibration=CalibrationPrior(),
            tasks=1,
        )
        for name, score in scores.items()
    }
    return Selection(
        expectations={"classification": expectations, "regression": {}},
        noise={"classification": noise, "regression": noise},
        centre={"classification": constant, "regression": constant},
        scale={"classification": [1.0] * len(NAMES), "regression": [1.0] * len(NAMES)},
    )


def chosen(
    support: Support, selection: Selection, budget_ms: float = 50.0, names: list[str] | None = None
) -> auto.Choice:
    body = build_backbone("identity", tuple(support.x.shape[1:]), {})
    return auto.choose(
        names or list(COSTS),
        lambda name, params: build_learner(name, body, params, "classification"),
        support,
        selection,
        base=PLAIN,
        budget_ms=budget_ms,
    )


def rings(shots: int) -> Support:
    """Two classes with the same mean: only what is not a nearest mean tells them apart."""
    angle = 2 * math.pi * torch.rand(2 * shots, generator=torch.Generator().manual_seed(0))
    y = torch.arange(2).repeat_interleave(shots)
    return Support(torch.stack([angle.cos(), angle.sin()], -1) * (1 + 2 * y[:, None]), y, 2)


def test_with_one_shot_the_expectation_alone_decides() -> None:
    support = Support(torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), torch.arange(3), 3)
    assert chosen(support, knowing({"protonet": 0.0, "ridge": -1.0, "gp": 1.0})).learner == "ridge"
    assert chosen(support, knowing({"protonet": -2.0, "ridge": -1.0, "gp": 1.0})).learner == "protonet"


def test_many_examples_overrule_the_expectation() -> None:
    expected = {"protonet": -0.2, "ridge": 0.0, "gp": 0.1}
    choice = chosen(rings(20), knowing(expected), budget_ms=500)
    assert choice.learner == "gp"
    assert choice.considered[0]["learner"] == "gp"
    assert all(one["loo_nll"] is not None for one in choice.considered)


def test_what_costs_more_than_the_budget_is_not_tried() -> None:
    choice = chosen(rings(20), knowing({"protonet": -0.2, "ridge": 0.0, "gp": -0.5}), budget_ms=50)
    assert "gp" not in [one["learner"] for one in choice.considered]


def test_what_cannot_be_better_is_not_tried() -> None:
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(3).repeat_interleave(10)
    support = Support(50.0 * torch.eye(3)[y] + 0.1 * torch.randn(30, 3, generator=rng), y, 3)
    choice = chosen(support, knowing({"protonet": 0.0, "ridge": 0.1, "gp": 0.2}), budget_ms=1000)
    assert [one["learner"] for one in choice.considered] == ["protonet"]


def test_those_about_as_good_answer_together() -> None:
    expected = {"protonet": 0.0, "ridge": 0.0, "gp": 0.1}
    choice = chosen(rings(20), knowing(expected, noise=500.0), budget_ms=500, names=[*expected, "stack"])
    assert choice.learner == "stack"
    by_name = {one["learner"]: one["weight"] for one in choice.considered}
    members = [member["learner"] for member in choice.params["members"]]
    assert sum(by_name.values()) == pytest.approx(1, abs=1e-3)
    learner = build_learner("stack", build_backbone("identity", (2,), {}), choice.params, "classification")
    state, held_out = choice.adapt(learner, rings(20))
    assert held_out is not None
    assert state["weights"].tolist() == pytest.approx([by_name[name] for name in members])
    support = rings(20)
    answers, y = held_out
    left = [
        build_learner(name, learner.backbone, {}, "classification").leave_one_out(support, torch.arange(40))
        for name in members
    ]
    parts = [calibrated(one, c).log_probabilities.exp() for one, c in zip(left, state["calibrations"], strict=True)]  # type: ignore[union-attr]
    expected_answers = sum(w * part for w, part in zip(state["weights"], parts, strict=True))
    assert isinstance(answers, Categorical)
    torch.testing.assert_close(answers.log_probabilities.exp(), expected_answers)
    assert y.equal(support.y)
    assert chosen(rings(20), knowing(expected, noise=500.0), budget_ms=500).learner != "stack"


def test_weights_of_members_by_hand() -> None:
    found = member_weights({"a": 1.0, "b": 1.4, "c": 9.0, "d": 1.8}, "classification")
    assert list(found) == ["a", "b", "d"]
    assert found["b"] / found["a"] == pytest.approx(math.exp(-1), rel=1e-3)
    assert found["d"] / found["a"] == pytest.approx(math.exp(-2), rel=1e-3)
    assert member_weights({"a": 1.0, "b": 9.0}, "classification") == {"a": 1.0}


def test_the_usual_calibration_follows_the_features() -> None:
    """Answers that are as sure as their task is large are tempered by as much."""
    rng = torch.Generator().manual_seed(0)
    found = []
    for number in range(40):
        feature = float(number % 2)
        y = torch.randint(2, (400,), generator=rng)
        logits = torch.stack([-torch.ones(400), torch.ones(400)], -1) * (2.0 * y - 1)[:, None]
        logits = torch.where(torch.rand(400, 1, generator=rng) < 0.8, logits, -logits) * (0.7 * (1 + 2 * feature))
        asked = Categorical(logits.log_softmax(-1))
        found.append(
            Experience(
                dataset=str(number),
                number=number,
                task="classification",
                learner="gp",
                features=[feature] * len(NAMES),
                left_out=0,
                told=torch.empty(0),
                true=sharpness_curve(asked, y).double() / 400,
                held_out=None,
                asked=(asked, y),
                milliseconds=1.0,
            )
        )
    (lines,) = [one for one in found if one.number == 0]
    regression = replace(lines, task="regression", learner="ridge", true=torch.ones(61).double())
    selection = learn(
        [*found, replace(regression, asked=(Gaussian(torch.zeros(3, 1), torch.ones(3, 1)), torch.zeros(3, 1)))], {}
    )
    small, large = (selection.calibration("classification", "gp", [f] * len(NAMES)).untold for f in (0.0, 1.0))
    assert small == pytest.approx(0.99, rel=0.2)  # 80 % right: log-odds of 1.39, which is 1.4 times 0.99
    assert large == pytest.approx(0.33, rel=0.2)


def test_nothing_is_known_of_a_learner_that_past_tasks_did_not_try() -> None:
    support = Support(torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), torch.arange(3), 3)
    choice = chosen(support, knowing({"ridge": 0.0, "gp": 1.0}), names=["ridge", "gp", "tree"])
    assert choice.learner == "ridge"


def test_what_is_told_and_what_is_expected_are_weighed_by_hand() -> None:
    selection = knowing({"protonet": 0.0, "ridge": 1.0}, noise=30.0)
    # trust ¼: differences to the mean are ¾ · (∓½) + ¼ · (±1), around the mean told of 3
    found = selection.combined("classification", {"protonet": 0.0, "ridge": 1.0}, {"protonet": 4.0, "ridge": 2.0}, 10)
    assert found == pytest.approx({"protonet": 3 - 0.375 + 0.25, "ridge": 3 + 0.375 - 0.25})


def test_scores_are_losses_again() -> None:
    assert unscored(scored(0.7, "classification"), "classification") == pytest.approx(0.7)
    assert unscored(scored(-0.7, "regression"), "regression") == pytest.approx(-0.7)


def test_what_is_learned_survives_storage_and_prefers_what_was_better() -> None:
    rng = torch.Generator().manual_seed(0)
    body, found = build_backbone("identity", (2,), {}), []
    for number in range(6):
        support = rings(6 + number)
        names = {name: build_learner(name, body, {}, "classification") for name in ("protonet", "gp")}
        with torch.no_grad():
            rings_again = Episode(support, support.x, support.y)
            found += experiences(rings_again, PLAIN, names, dataset="rings", number=number)
            lines = Lines().draw(Size(shots=8, queries=10), rng)
            ridge = {"ridge": build_learner("ridge", build_backbone("identity", (1,), {}), {}, "regression")}
            found += experiences(lines, PLAIN, ridge, dataset="lines", number=number)
    selection = learn(found, {"by": "a test"})
    again = load_selection(selection.dumps())
    assert again == selection
    prior = again.prior("classification", task_features(rings(8)))
    assert prior["gp"] < prior["protonet"]


def test_features_are_finite_for_any_task() -> None:
    rng = torch.Generator().manual_seed(0)
    for counts in ((1, 1), (1, 9), (5, 5, 5)):
        y = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        for x in (torch.randn(len(y), 3, generator=rng), torch.zeros(len(y), 3)):
            found = task_features(Support(x, y, len(counts)))
            assert len(found) == len(NAMES)
            assert all(map(math.isfinite, found))


def test_only_learners_that_fit_can_be_candidates(store: Store) -> None:
    base = Catalogue(store).get("omniglot")
    names = auto.candidates(base, "classification", auto.AutoConfig())
    assert names[0] == "protonet"
    assert {"ridge", "stack"} <= set(names)
    assert not {"maml", "cnp", "lora"} & set(names)
    with pytest.raises(InvalidParameter, match="maml cannot be chosen"):
        auto.candidates(base, "classification", auto.AutoConfig(candidates=["maml"]))

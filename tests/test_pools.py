"""What `auto` would have made of past tasks."""

import torch

from meta_core import auto
from meta_core.backbone import build_backbone
from meta_core.calibration import calibrated
from meta_core.expectations import learn
from meta_core.experience import experiences
from meta_core.learner import build_learner
from meta_core.pools import pools
from meta_core.selection import STACK
from meta_core.types import Categorical, Episode, Support
from tests.test_auto import PLAIN

NAMES = ("protonet", "gp", "matching")


def corners(shots: int) -> Support:
    """Two classes on opposite corners each, of the same mean: no case for prototypes."""
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(2).repeat_interleave(2 * shots)
    signs = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]]).repeat_interleave(shots, 0)
    return Support(signs + 0.6 * torch.randn(4 * shots, 2, generator=rng), y, 2)


def test_the_stack_of_a_past_task_is_the_one_that_auto_makes_of_it() -> None:
    body = build_backbone("identity", (2,), {})
    usable = {name: build_learner(name, body, {}, "classification") for name in NAMES}
    queries = corners(9)
    found = []
    with torch.no_grad():
        for number, shots in enumerate((4, 6, 8, 20)):
            episode = Episode(corners(shots), queries.x, queries.y)
            found += experiences(episode, PLAIN, usable, dataset=str(number), number=number)
        selection = learn(found, {})
        *_, last = pools(found, selection)
        choice = auto.choose(
            [*NAMES, STACK],
            lambda name, params: build_learner(name, body, params, "classification"),
            corners(20),
            selection,
            base=PLAIN,
            budget_ms=60_000,
        )
        stack = build_learner(choice.learner, body, choice.params, "classification")
        state, held_out = choice.adapt(stack, corners(20))
        answers = stack.predict(state, queries.x)
    assert last.learner == choice.learner == STACK
    assert held_out is not None
    for ours, theirs in ((last.asked[0], answers), (last.held_out[0], held_out[0])):  # type: ignore[index]
        assert isinstance(ours, Categorical)
        assert isinstance(theirs, Categorical)
        torch.testing.assert_close(ours.log_probabilities, theirs.log_probabilities)


def test_what_is_expected_of_stacks_calibrates_them() -> None:
    """Members that are too sure, and wrong together, make a stack that is tempered."""
    body = build_backbone("identity", (2,), {})
    usable = {name: build_learner(name, body, {}, "classification") for name in NAMES}
    rng = torch.Generator().manual_seed(0)
    found = []
    with torch.no_grad():
        for number in range(8):
            support = corners(10)
            flipped = torch.rand(40, generator=rng) < 0.3  # of the queries, not of the support
            episode = Episode(support, support.x, torch.where(flipped, 1 - support.y, support.y))
            found += experiences(episode, PLAIN, usable, dataset=str(number), number=number)
        selection = learn(found, {})
        known = selection.expectations["classification"][STACK]
        stacks = list(pools(found, selection))
    assert known.tasks == len(stacks)
    plain, served = (
        sum(calibrated(one.asked[0], c).nll(one.asked[1]).mean().item() for one in stacks)
        for c in (1.0, known.calibration.centre)
    )
    assert served <= plain

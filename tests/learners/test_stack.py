"""`stack` against the optimum that SciPy finds."""

import numpy as np
import torch
from scipy.optimize import minimize
from torch.testing import assert_close

from meta_core.learners.stack import pool_weights
from meta_core.quality import leave_one_out
from meta_core.types import Categorical, Support
from tests.learners.cases import adapted, build, draw, encoded


def test_the_weights_are_the_optimum() -> None:
    rng = np.random.default_rng(0)
    likelihood = rng.uniform(0.05, 1, (40, 3)) * [1, 0.8, 0.3]
    prior = 4.0

    def loss(logits: np.ndarray) -> float:
        w = np.exp(logits - np.logaddexp.reduce(logits))
        return float(-np.log(likelihood @ w).sum() - prior / 3 * np.log(w).sum())

    best = minimize(loss, np.zeros(3), tol=1e-12).x
    expected = torch.from_numpy(np.exp(best - np.logaddexp.reduce(best)))
    counted = torch.ones(1, 40, dtype=torch.float64)
    assert_close(pool_weights(torch.from_numpy(likelihood), counted, prior)[0], expected, atol=1e-4, rtol=0)


def test_a_member_that_knows_nothing_loses_its_weight() -> None:
    """A kernel far too short knows nothing but the examples themselves."""
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(4).repeat(10)
    x = (5 * torch.randn(4, 4, generator=rng))[y] + torch.randn(40, 4, generator=rng)
    members = ["protonet", {"learner": "gp", "params": {"length": 1e-3}}]
    learner = build(("stack", {"members": members}, "classification"), "identity")
    state = learner.adapt(Support(x.double(), y, 4))
    assert state["weights"][0] > 0.8
    assert_close(state["weights"].sum(), torch.tensor(1.0, dtype=torch.float64))


def test_with_one_shot_all_weigh_the_same() -> None:
    learner = build(("stack", {}, "classification"))
    state = adapted(learner, draw("classification", counts=(1, 1, 1)).support)
    assert_close(state["weights"], torch.full((3,), 1 / 3, dtype=torch.float64))


def test_both_at_once_are_each_alone() -> None:
    learner = build(("stack", {}, "classification"))
    support = encoded(learner, draw("classification", counts=(4, 3, 5)).support)
    left_out = torch.arange(12)
    state, answers = learner.adapt_and_leave_out(support, left_out)
    assert_close(state, learner.adapt(support))
    alone = leave_one_out(learner, support)
    assert alone is not None
    assert isinstance(answers, Categorical)
    assert isinstance(alone[0], Categorical)
    assert_close(answers.log_probabilities, alone[0].log_probabilities)

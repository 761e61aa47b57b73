import torch
from torch.testing import assert_close

from meta_core.types import Support
from tests.learners.cases import build, draw


def test_one_step_of_descent_moves_the_start_towards_where_the_task_ends() -> None:
    learner, episode = build(("reptile", {"steps": 4}, "classification")), draw("classification")
    support = episode.support
    everything = Support(torch.cat([support.x, episode.x]), torch.cat([support.y, episode.y]), 3)
    end = learner.adapt(everything)
    expected = {
        name: value.detach() + 0.25 * (end[f"backbone.{name}"].detach() - value.detach())
        for name, value in learner.backbone.named_parameters()
    }
    optimizer = torch.optim.SGD(learner.parameters(), 0.25)
    learner.meta_loss(episode).backward()
    optimizer.step()
    assert_close(dict(learner.backbone.named_parameters()), expected, check_dtype=True)


def test_the_loss_it_reports_is_that_of_the_queries() -> None:
    learner, episode = build(("reptile", {}, "regression")), draw("regression")
    reported = learner.meta_loss(episode)
    prediction = learner.predict(learner.adapt(episode.support), episode.x)
    assert_close(reported, prediction.nll(episode.y).mean())

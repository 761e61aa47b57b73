import torch
from torch.nn import functional as F
from torch.testing import assert_close

from meta_core.backbone import build_backbone
from meta_core.learner import build_learner
from meta_core.learners.finetune import folds
from meta_core.types import Support
from tests.learners.cases import adapted, answers, build, draw, encoded


def test_the_factors_are_those_of_an_optimiser_by_hand() -> None:
    learner, support = build(("setfit", {"rank": 2, "epochs": 4}, "classification")), draw("classification").support
    state, layer = learner.adapt(support), learner.backbone.layers[0]
    up = torch.zeros(16, 2).double().requires_grad_()
    down = learner.down[0].detach().clone().requires_grad_()

    def embedded() -> torch.Tensor:
        return F.normalize(F.linear(support.x, layer.weight + up @ down, layer.bias).relu(), dim=-1)

    with torch.no_grad():
        z = embedded()
        classes = torch.stack([z[support.y == c].mean(0) for c in range(3)])
    classes.requires_grad_()
    optimiser = torch.optim.AdamW([up, down, classes], weight_decay=0.01)
    for share in (1.0, 0.75, 0.5, 0.25):  # of the highest rate: one batch an epoch, so its order does not matter
        optimiser.param_groups[0]["lr"] = 1e-3 * share
        optimiser.zero_grad()
        logits = 10 * embedded() @ F.normalize(classes, dim=-1).T
        F.cross_entropy(logits, support.y, label_smoothing=0.1).backward()
        optimiser.step()
    assert_close([state["up.layers.0"], state["down.layers.0"]], [up.detach(), down.detach()])


def test_without_layers_it_is_logistic_regression_on_the_sphere() -> None:
    episode = draw("classification")
    setfit, logistic = (
        build((name, {"inverse_penalty": 5.0}, "classification"), "identity") for name in ("setfit", "logistic")
    )
    on_sphere = Support(F.normalize(episode.support.x, dim=-1), episode.support.y, 3)
    expected = logistic.predict(logistic.adapt(on_sphere), F.normalize(episode.x, dim=-1))
    found = setfit.predict(adapted(setfit, episode.support), setfit.encode(episode.x))
    assert_close(answers(found), answers(expected).detach(), rtol=1e-5, atol=1e-5)


def test_an_example_is_left_out_with_its_fold() -> None:
    learner = build(("setfit", {"folds": 2, "rate": 0.05}, "classification"))
    support = encoded(learner, draw("classification", counts=(2, 2, 2)).support)
    told = answers(learner.leave_one_out(support, torch.arange(6)))
    held = folds(F.normalize(learner.embed({}, support.x), dim=-1), support, 2)
    assert held.sum(-1).tolist() == [3, 3]
    for fold in held:
        state = learner.adapt(Support(support.x[~fold], support.y[~fold], 3))
        assert_close(told[fold], answers(learner.predict(state, support.x[fold])))


def test_moving_the_last_block_pulls_classes_apart() -> None:
    torch.manual_seed(0)
    body = build_backbone("conv4", (1, 16, 16), {"width": 16, "norm": "group"})
    learner = build_learner("setfit", body, {"body": "last", "rate": 0.02, "epochs": 20}, "classification").eval()
    x, y = torch.randn(12, 1, 16, 16), torch.arange(12) % 3
    support = Support(learner.encode(x), y, 3)
    state = learner.adapt(support)
    factors = {name: value for name, value in state.items() if name != "weight"}

    def within(state: dict[str, torch.Tensor]) -> torch.Tensor:
        z = F.normalize(learner.embed(state, support.x), dim=-1)
        return (z @ z.T)[y[:, None] == y].mean() - (z @ z.T)[y[:, None] != y].mean()

    assert within(factors) > within({}) + 0.1

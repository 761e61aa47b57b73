import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from torch.testing import assert_close

from meta_core.learner import Learner
from meta_core.types import Gaussian, Support
from tests.learners.cases import answers, build, draw


def test_regression_is_the_gaussian_process_of_the_textbook() -> None:
    learner = build(("gp", {"length": 1.5, "noise": 0.2}, "regression"), "identity")
    episode = draw("regression")
    support = Support(episode.support.x, episode.support.y[:, :1], None)
    x, y = support.x.numpy(), support.y.numpy()
    size = (((x - x.mean(0)) ** 2).sum(1).mean()) ** 0.5
    state = learner.adapt(support)
    signal = (state["variance"] / y.var()).item()
    covariance = ConstantKernel(signal) * RBF(1.5 * size) + WhiteKernel(0.2 * signal)
    reference = GaussianProcessRegressor(covariance, alpha=0, optimizer=None).fit(x, (y - y.mean()) / y.std())
    mean, deviation = reference.predict(episode.x.numpy(), return_std=True)
    expected = torch.from_numpy(mean.reshape(-1, 1) * y.std() + y.mean())
    prediction = learner.predict(state, episode.x)
    assert isinstance(prediction, Gaussian)
    assert_close(prediction.mean.detach(), expected, rtol=1e-5, atol=1e-6)
    deviation = torch.from_numpy(deviation.reshape(-1, 1) * y.std())
    assert_close(prediction.variance.detach().sqrt(), deviation, rtol=1e-5, atol=1e-6)


def test_leaving_one_out_of_a_classification_is_adapting_without_it() -> None:
    learner = build(("gp", {"length": 1.0}, "classification"), "identity")
    support, left_out = draw("classification").support, torch.tensor([0, 4, 8])
    size = (support.x - support.x.mean(0)).square().sum(-1).mean().sqrt()
    refits = []
    for i in left_out.tolist():  # adapting again would measure its own size
        x, y = support.x / size, 2 * support.one_hot() - 1
        covariance = (-0.5 * torch.cdist(x, x).square()).exp() + 0.1 * torch.eye(len(x)).double()
        keep = torch.arange(len(x)) != i
        r = covariance[i, keep]
        refits.append(4 * r @ torch.linalg.solve(covariance[keep][:, keep], y[keep]))
    fast = learner.leave_one_out(support, left_out)
    assert_close(answers(fast).detach(), torch.stack(refits).log_softmax(-1), rtol=1e-5, atol=1e-5)
    assert type(learner).leave_one_out is not Learner.leave_one_out


def test_what_is_left_out_of_a_regression_is_no_part_of_the_mean() -> None:
    learner, support = build(("gp", {"length": 1.0}, "regression"), "identity"), draw("regression").support
    told = learner.leave_one_out(support, torch.tensor([0, 4]))
    assert isinstance(told, Gaussian)
    size = (support.x - support.x.mean(0)).square().sum(-1).mean().sqrt()
    covariance = (-0.5 * torch.cdist(support.x / size, support.x / size).square()).exp()
    covariance += 0.1 * torch.eye(len(covariance)).double()
    for row, i in enumerate((0, 4)):
        others = torch.arange(len(support)) != i
        mean = support.y[others].mean(0)
        dual = torch.linalg.solve(covariance[others][:, others], support.y[others] - mean)
        assert_close(told.mean[row].detach(), mean + covariance[i, others] @ dual, rtol=1e-5, atol=1e-5)


def test_nine_tenths_of_a_smooth_function_lie_within_the_ninety_percent_interval() -> None:
    rng, learner = torch.Generator().manual_seed(0), build(("gp", {}, "regression"), "identity", (1,))
    inside, squared = [], []
    for _ in range(60):
        x = 10 * torch.rand(40, 1, generator=rng).double() - 5
        phase, size = 3 * torch.rand(2, generator=rng).double()
        y = (1 + size) * (x - phase).sin() + 0.1 * torch.randn(40, 1, generator=rng).double()
        prediction = learner.predict(learner.adapt(Support(x[:20], y[:20], None)), x[20:])
        assert isinstance(prediction, Gaussian)
        inside.append(((y[20:] - prediction.mean).abs() < 1.645 * prediction.variance.sqrt()).double().mean())
        squared.append((y[20:] - prediction.mean).square().mean())
    assert 0.84 < torch.stack(inside).mean() < 0.96
    assert torch.stack(squared).median() < 0.1


def test_far_from_the_examples_the_answer_is_as_uncertain_as_the_targets() -> None:
    support, learner = draw("regression").support, build(("gp", {}, "regression"), "identity")
    far = learner.predict(learner.adapt(support), torch.full((1, 4), 1e6).double())
    assert isinstance(far, Gaussian)
    assert_close(far.mean[0], support.y.mean(0))
    assert (far.variance[0] > 0.5 * support.y.var(0)).all()

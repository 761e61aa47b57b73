"""What is of none of the classes is told from what is."""

import torch
from sklearn.metrics import roc_auc_score

from meta_core.backbone import build_backbone
from meta_core.calibration import calibrated, calibration_of
from meta_core.learner import build_learner
from meta_core.quality import sparable
from meta_core.types import Categorical, Support
from meta_core.unknown import Novelty, class_means, learn_novelty, unknown_of

SHOTS, WAYS, D = 6, 5, 8


def clouds(seed: int) -> tuple[Support, torch.Tensor, torch.Tensor]:
    """A support set, queries of its classes, and queries of others."""
    rng = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(2 * WAYS, D, generator=rng)
    y = torch.arange(2 * WAYS).repeat_interleave(SHOTS)
    x, queries = (centres[y] + torch.randn(len(y), D, generator=rng) for _ in range(2))
    shown = y < WAYS
    return Support(x[shown], y[shown], WAYS), queries[shown], queries[~shown]


def rates(name: str, seed: int) -> tuple[Novelty, list[float], list[float]]:
    support, inside, outside = clouds(seed)
    learner = build_learner(name, build_backbone("identity", (D,), {}), {}, "classification")
    left_out = sparable(support, learner.most_left_out)
    with torch.no_grad():
        told = learner.leave_one_out(support, left_out)
        sharpness = calibration_of(told, support.y[left_out])
        sure = calibrated(told, sharpness)
        assert isinstance(sure, Categorical)
        novelty = learn_novelty(support, (left_out, sure))
        answers = [calibrated(learner.predict(learner.adapt(support), z), sharpness) for z in (inside, outside)]
    means = class_means(support)
    z, log_p = torch.stack([inside, outside]), torch.stack([answer.log_probabilities for answer in answers])  # type: ignore[union-attr]
    known, unknown = unknown_of([novelty] * 2, means.expand(2, -1, -1), z, log_p).tolist()
    return novelty, known, unknown


def test_other_classes_are_told_whatever_the_learner() -> None:
    for name in ("protonet", "ridge", "tree"):
        _, known, unknown = rates(name, 0)
        assert roc_auc_score([0] * len(known) + [1] * len(unknown), known + unknown) > 0.95
        assert all(0 <= rate <= 1 for rate in known + unknown)


def test_about_as_many_are_rejected_as_promised() -> None:
    rejected = []
    for seed in range(20):
        novelty, known, _ = rates("ridge", seed)
        level = sorted(novelty.left_out)[int(0.9 * len(novelty.left_out))]
        rejected += [rate > level for rate in known]
    assert 0.03 < sum(rejected) / len(rejected) < 0.25


def test_each_query_is_judged_alone() -> None:
    support, inside, outside = clouds(1)
    novelty = learn_novelty(support, None)
    z = torch.cat([inside, outside])
    log_p = torch.randn(len(z), WAYS, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    means = class_means(support)
    together = unknown_of([novelty], means[None], z[None], log_p[None])
    alone = unknown_of([novelty] * len(z), means.expand(len(z), -1, -1), z[:, None], log_p[:, None])
    torch.testing.assert_close(torch.tensor(together).float().flatten(), torch.tensor(alone).float().flatten())

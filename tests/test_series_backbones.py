"""Fixed convolutions against NumPy, and a recurrent network."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch

from meta_core.backbone import build_backbone
from meta_core.backbones.minirocket import COMPETITORS, KERNELS, dilations, random_kernels, three_of_nine


def test_the_kernels_are_those_of_the_paper() -> None:
    kernels = three_of_nine()
    assert kernels.shape == (84, 9)
    assert len({tuple(row) for row in kernels.tolist()}) == 84
    assert kernels.sum(-1).abs().max() == 0


def test_dilations_span_the_series() -> None:
    assert dilations(9) == [1]
    assert dilations(150)[0] == 1
    assert dilations(150)[-1] * 8 <= 149 < (dilations(150)[-1] + 1) * 8 + 8
    assert len(dilations(1024)) <= 32


def test_shares_and_winners_are_those_of_a_convolution_by_hand() -> None:
    backbone = build_backbone("minirocket", (1, 17), {"features": 84, "groups": 1})
    series = np.random.default_rng(0).normal(size=17)
    z = backbone(torch.tensor(series[None, None], dtype=torch.float32))[0].numpy()
    x = (series - series.mean()) / series.std()
    np.testing.assert_allclose(z[:2], [series.mean(), np.log(series.std())], atol=1e-5)
    answers = np.stack([np.correlate(np.pad(x, 4), kernel, "valid") for kernel in three_of_nine().numpy()])
    threshold = backbone.thresholds.item()
    above = (answers > threshold * np.sqrt((answers**2).mean(1, keepdims=True))).mean(1)
    np.testing.assert_allclose(z[2 : 2 + KERNELS], above - NormalDist().cdf(-threshold), atol=1e-5)
    kernels = backbone.get_buffer("competing_series")[0, :, 0].numpy()
    rivals = np.stack([np.correlate(np.pad(x, 4), kernel, "valid") for kernel in kernels])
    best = [rivals.max(0)[rivals.argmax(0) == k].sum() for k in range(COMPETITORS)]
    worst = [(rivals.argmin(0) == k).sum() for k in range(COMPETITORS)]
    expected = np.sqrt(np.maximum([*best, *worst], 0) / 17) - np.sqrt(1 / 8)
    start = 2 + KERNELS * len(backbone.dilations)
    np.testing.assert_allclose(z[start : start + 16], expected, atol=1e-5)


def test_scale_and_level_move_their_own_features_only() -> None:
    backbone = build_backbone("minirocket", (1, 40), {})
    x = torch.randn(3, 1, 40, generator=torch.Generator().manual_seed(0))
    plain, moved = backbone(x), backbone(5 * x + 3)
    torch.testing.assert_close(moved[:, 2:], plain[:, 2:], atol=0.05, rtol=0)  # a tie may fall to the other side
    assert (moved[:, 2:] - plain[:, 2:]).abs().mean() < 1e-4
    torch.testing.assert_close(moved[:, 0], 5 * plain[:, 0] + 3)


def test_without_normalisation_level_and_scale_count_throughout() -> None:
    normalising, backbone = (build_backbone("minirocket", (1, 40), {"normalise": chosen}) for chosen in (True, False))
    x = torch.randn(3, 1, 40, generator=torch.Generator().manual_seed(0))
    x = (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True, correction=0)
    torch.testing.assert_close(backbone(x), normalising(x), atol=0.05, rtol=0)
    shares = slice(2, 2 + KERNELS * len(backbone.thresholds) * len(backbone.dilations))
    torch.testing.assert_close(backbone(5 * x)[:, shares], backbone(x)[:, shares], atol=1e-6, rtol=0)
    assert (backbone(x + 3)[:, shares] - backbone(x)[:, shares]).abs().mean() > 0.01  # at the ends, beyond which is 0
    rivals = slice(shares.stop, shares.stop + COMPETITORS)  # how much the best of a group answered, as a root
    shift = math.sqrt(1 / COMPETITORS)
    expected = math.sqrt(5) * (backbone(x)[:, rivals] + shift)
    torch.testing.assert_close(backbone(5 * x)[:, rivals] + shift, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("normalise", [True, False])
def test_a_constant_series_has_an_embedding_too(normalise: bool) -> None:
    backbone = build_backbone("minirocket", (2, 30), {"normalise": normalise})
    assert backbone(torch.full((2, 2, 30), 1e6)).isfinite().all()


def test_with_many_channels_every_channel_counts_somewhere() -> None:
    backbone = build_backbone("minirocket", (12, 30), {"features": 84})
    assert (backbone.kernels.abs().sum((0, 1, 3)) > 0).all()
    assert random_kernels(2, torch.Generator()).abs().sum(-1).allclose(torch.ones(16))


def test_a_gru_reads_time_in_order() -> None:
    torch.manual_seed(0)
    backbone = build_backbone("gru", (2, 10), {"width": 5})
    x = torch.randn(4, 2, 10)
    outputs = backbone.network(x.transpose(1, 2))[0]  # type: ignore[operator]
    torch.testing.assert_close(backbone(x), torch.cat([outputs.mean(1), outputs[:, -1]], 1))
    assert not torch.allclose(backbone(x), backbone(x.flip(-1)))

import torch
from torch.nn import functional as F
from torch.testing import assert_close

from meta_core.learners.snail import Convolution
from meta_core.row_order import canonical_order
from tests.learners.cases import build, draw


def test_a_query_is_the_last_row_of_the_whole_sequence() -> None:
    learner, episode = build(("snail", {"reach": 8}, "classification"), "identity"), draw("classification")
    support = episode.support
    order = canonical_order(support.x)
    expected = []
    for query in episode.x:
        x = torch.cat([support.x[order], query[None]])  # [N + 1, D]
        marks = F.pad(2 * support.one_hot()[order] - 1, (0, 0, 0, 1))  # [N + 1, C]
        rows = torch.cat([x.expand(3, -1, -1), marks.T[..., None]], -1)
        for layer in learner.layers:
            rows = layer(rows)
        expected.append(learner.answerer(rows[:, -1]).squeeze(-1).log_softmax(-1))
    assert_close(learner.predict(learner.adapt(support), episode.x).log_probabilities, torch.stack(expected))


def test_a_layer_sees_nothing_that_comes_later() -> None:
    learner = build(("snail", {}, "classification"), "identity")
    rows = torch.randn(1, 9, 5, generator=torch.Generator().manual_seed(0)).double()
    changed = rows.clone()
    changed[:, 5:] += 1
    for layer in learner.layers:
        rows, changed = layer(rows), layer(changed)
    assert_close(rows[:, :5], changed[:, :5])
    assert not torch.allclose(rows[:, 5:], changed[:, 5:])


def test_a_convolution_is_the_one_of_pytorch() -> None:
    layer = Convolution(width=3, filters=2, dilation=4)
    rows = torch.randn(2, 10, 3, generator=torch.Generator().manual_seed(0))
    padded = F.pad(rows.mT, (4, 0))
    filtered, gated = (
        F.conv1d(padded, part.weight.unflatten(1, (2, 3)).mT, part.bias, dilation=4).mT
        for part in (layer.filter, layer.gate)
    )
    assert_close(layer(rows)[..., 3:], filtered.tanh() * gated.sigmoid())

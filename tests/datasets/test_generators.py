"""The synthetic tasks are what they say they are."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from torch.testing import assert_close

from meta_core.dataset import Split, build_dataset
from meta_core.datasets.prior import quantile_bins, random_tables
from meta_core.episodes import Size
from meta_core.errors import InvalidTask
from meta_core.types import Episode

NOWHERE = Path("/nonexistent")


def drawn(name: str, size: Size, tasks: int, split: Split = "train", **values: Any) -> list[Episode]:
    rng = torch.Generator().manual_seed(0)
    source = build_dataset(name, NOWHERE, values).source(split)
    return [source.draw(size, rng) for _ in range(tasks)]


@pytest.mark.parametrize("name", ["discriminants", "mixtures", "prior"])
def test_a_seed_decides_the_task(name: str) -> None:
    (first,), (second,) = (drawn(name, Size(ways=2, shots=5), 1) for _ in range(2))
    assert torch.equal(first.support.x, second.support.x)
    assert torch.equal(first.y, second.y)


@pytest.mark.parametrize("name", ["discriminants", "mixtures"])
def test_every_class_has_its_shots_and_queries(name: str) -> None:
    for episode in drawn(name, Size(ways=2, shots=3, queries=7), 20, dimension=5):
        assert episode.support.x.shape == (6, 5)
        assert episode.support.counts().tolist() == [3, 3]
        assert episode.y.bincount().tolist() == [7, 7]


def test_a_hyperplane_tells_the_sides_of_a_discriminant_apart() -> None:
    for episode in drawn("discriminants", Size(ways=2, shots=50, queries=50), 20, dimension=4):
        x, y = torch.cat([episode.support.x, episode.x]), torch.cat([episode.support.y, episode.y])
        assert LogisticRegression(C=1e9, max_iter=10_000).fit(x, y).score(x, y) == 1.0


def test_the_threshold_of_a_discriminant_moves_from_task_to_task() -> None:
    for threshold, least, most in ((0.0, 0.0, 0.03), (1.0, 0.2, 1.0)):
        episodes = drawn("discriminants", Size(ways=2, shots=200, queries=1), 100, dimension=1, threshold=threshold)
        x, y = torch.stack([e.support.x[:, 0] for e in episodes]), torch.stack([e.support.y for e in episodes])
        upward = x.masked_fill(y == 0, 0).sum(1) > x.masked_fill(y == 1, 0).sum(1)
        x = torch.where(upward[:, None], x, -x)
        threshold_at = (x.masked_fill(y == 1, -9).amax(1) + x.masked_fill(y == 0, 9).amin(1)) / 2
        assert least <= threshold_at.abs().mean() < most


def test_a_discriminant_has_two_sides() -> None:
    with pytest.raises(InvalidTask, match="2 classes"):
        drawn("discriminants", Size(ways=5), 1)


def test_the_means_of_mixtures_are_as_far_apart_as_configured() -> None:
    episodes = drawn("mixtures", Size(ways=5, shots=200, queries=1), 100, dimension=3, components=1, spread=3.0)
    means = torch.cat([e.support.x.view(5, 200, 3).mean(1) for e in episodes])  # [500, D]
    assert_close(means.std(0), torch.full((3,), 3.0), rtol=0.1, atol=0)
    within = torch.stack([e.support.x.view(5, 200, 3).var(1).mean() for e in episodes])
    assert abs(within.mean() - 1) < 0.1


def test_a_class_of_a_mixture_has_from_one_to_all_components() -> None:
    episodes = drawn("mixtures", Size(ways=1, shots=300, queries=1), 30, dimension=1, components=2, spread=30.0)
    found = Counter(
        min((1, 2), key=lambda k, x=e.support.x: GaussianMixture(k, random_state=0).fit(x).bic(x)) for e in episodes
    )
    assert found[1] > 5
    assert found[2] > 5


def test_tables_are_standardised_and_their_columns_depend_on_each_other() -> None:
    rng = torch.Generator().manual_seed(0)
    dependent = 0
    for table in random_tables((50, 500, 6), 0.1, rng):
        assert_close(table.mean(0), torch.zeros(6), rtol=0, atol=1e-4)
        spread = table.std(0, correction=0)
        assert (((spread - 1).abs() < 1e-3) | (spread < 1e-3)).all()
        dependent += int((table.T.corrcoef() - torch.eye(6)).abs().max() > 0.5)
    assert dependent > 35


def test_the_classes_of_a_table_are_equally_full_parts_of_a_column() -> None:
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    for bins in range(2, 11):
        parts = quantile_bins(values, bins)
        assert (parts.bincount() - 1000 / bins).abs().max() < 2
        order = parts[values.argsort()]
        assert torch.equal(order, order.sort().values)


def test_training_tables_vary_in_rows_log_uniformly_and_in_columns_and_classes() -> None:
    episodes = drawn("prior", Size(ways=10, shots=1, queries=10), 400)
    rows = torch.tensor([len(e.support) for e in episodes], dtype=torch.float64)
    assert rows.min() == 4
    assert 900 < rows.max() <= 1000
    log = (rows.log() - torch.tensor(4.0).log()) / torch.tensor(250.0).log()
    assert abs(log.mean() - 0.5) < 0.05
    assert abs(log.std() - 12**-0.5) < 0.03
    assert {e.support.x.shape[1] for e in episodes} == set(range(2, 11))
    assert {e.support.ways for e in episodes} == set(range(2, 11))


@pytest.mark.parametrize("split", ["train", "validation"])
def test_every_class_of_a_table_is_in_its_support_and_every_query_in_a_class(split: Split) -> None:
    for episode in drawn("prior", Size(ways=5, shots=3, queries=4), 200, split):
        assert episode.support.counts().min() >= 1
        assert episode.y.max() < (episode.support.ways or 0)
        assert len(episode.y) == len(episode.x) > 0
        assert split == "train" or len(episode.support) == 15
        assert torch.cat([episode.support.x, episode.x]).isfinite().all()


@pytest.mark.parametrize("values", [{}, {"mixed": True, "hidden": 3}, {"task": "regression", "mixed": True}])
def test_the_tables_of_one_step_are_alike_in_all_their_sizes_and_no_two_are_the_same(values: dict[str, Any]) -> None:
    rng = torch.Generator().manual_seed(0)
    source = build_dataset("prior", NOWHERE, {"most_rows": 60, **values}).source("train")
    for _ in range(20):
        episodes = source.draw_alike(Size(ways=4, shots=5, queries=6), 3, rng)
        assert len({(e.support.x.shape, e.x.shape, e.support.y.shape, e.support.ways) for e in episodes}) == 1
        assert not torch.equal(episodes[0].x, episodes[1].x)
        assert all(torch.cat([e.support.x, e.x]).isfinite().all() for e in episodes)


def test_the_classes_of_mixed_tables_are_uneven_and_move_the_columns() -> None:
    episodes = drawn("prior", Size(ways=3, shots=30, queries=1), 100, "validation", mixed=True, hidden=0)
    uneven = sum(int(e.support.counts().max() > 2 * e.support.counts().min()) for e in episodes)
    assert 20 < uneven < 90
    stepped = sum(int(any(len(column.unique()) <= 4 for column in e.support.x.T)) for e in episodes)
    assert 20 < stepped < 90

"""The statistics of what the Meta-Dataset sampler draws."""

import math

import pytest
import torch
from torch import Tensor

from meta_core.episodes import ClassSource, Size
from meta_core.errors import InvalidTask
from meta_core.meta_dataset import MetaDatasetSource, Plan, draw_plan


def plans(sizes: list[int], count: int = 2000) -> list[Plan]:
    rng = torch.Generator().manual_seed(0)
    return [draw_plan(torch.tensor(sizes), rng) for _ in range(count)]


def examples(sizes: list[int]) -> tuple[Tensor, Tensor]:
    y = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return torch.arange(len(y))[:, None].float(), y


@pytest.mark.parametrize(("classes", "most"), [(7, 7), (80, 50)])
def test_ways_are_uniform_from_five_to_fifty_or_all(classes: int, most: int) -> None:
    ways = torch.tensor([len(plan.classes) for plan in plans([20] * classes)])
    assert ways.min() == 5
    assert ways.max() == most
    shares = ways.bincount()[5:] / len(ways)
    assert (shares - 1 / (most - 4)).abs().max() < 5 * math.sqrt(1 / (most - 4) / len(ways))


@pytest.mark.parametrize(("smallest", "queries"), [(2, 1), (7, 3), (20, 10), (600, 10)])
def test_queries_are_half_of_the_smallest_class_but_ten_at_most(smallest: int, queries: int) -> None:
    assert {plan.queries for plan in plans([smallest, 700, 700, 700, 700], 20)} == {queries}


def test_the_support_is_five_hundred_at_most_and_a_shot_of_each_at_least() -> None:
    found = plans([1000] * 60)
    totals = torch.tensor([int(plan.shots.sum()) for plan in found])
    assert totals.max() <= 500
    assert totals.max() > 450
    assert min(int(plan.shots.min()) for plan in found) == 1


def test_the_size_of_the_support_is_uniform_in_beta() -> None:
    # 100 of each of five classes count, so that the size is 5 · ⌈100 · β⌉, less what rounding down takes
    totals = torch.tensor([float(plan.shots.sum()) for plan in plans([210] * 5)])
    for quantile in (0.1, 0.25, 0.5, 0.75):
        assert abs(totals.quantile(quantile) - 500 * quantile) < 20


def test_large_classes_have_the_larger_share_and_none_more_than_twice_or_half_by_chance() -> None:
    found = [plan for plan in plans([40] * 4 + [160]) if plan.shots.sum() > 100]
    shots = torch.stack([plan.shots[plan.classes.argsort()] for plan in found]).double()
    ratio = (shots[:, 4] - 1) / (shots[:, :4] - 1).clamp(min=1).mean(1)
    assert 2 < ratio.median() < 6.5  # 4 before the bend, which is from ½ to 2 on both sides
    equal = torch.cat(
        [(plan.shots.max() / plan.shots.min())[None] for plan in plans([1000] * 5) if plan.shots.sum() > 300]
    )
    assert equal.max() < 4.3
    assert equal.max() > 3


def test_no_class_gives_more_than_its_queries_leave() -> None:
    for plan in plans([3, 5, 9, 30, 300, 2]):
        sizes = torch.tensor([3, 5, 9, 30, 300, 2])[plan.classes]
        assert (plan.shots + plan.queries <= sizes).all()


def test_an_episode_holds_different_examples_of_the_planned_classes() -> None:
    x, y = examples([12, 30, 8, 50, 20, 17, 9])
    source, rng = MetaDatasetSource(ClassSource(x, y)), torch.Generator().manual_seed(0)
    for _ in range(50):
        episode = source.draw(Size(), rng)
        everything = torch.cat([episode.support.x, episode.x]).flatten().long()
        assert len(everything.unique()) == len(everything)
        true, told = y[everything], torch.cat([episode.support.y, episode.y])
        assert len(torch.stack([true, told]).unique(dim=1).T) == episode.support.ways
        assert len(episode.y.bincount().unique()) == 1


def test_a_seed_decides_the_episode() -> None:
    source = MetaDatasetSource(ClassSource(*examples([20] * 9)))
    first, second = (source.draw(Size(), torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first.support.x, second.support.x)
    assert torch.equal(first.x, second.x)


def test_fewer_than_five_classes_are_too_few() -> None:
    with pytest.raises(InvalidTask, match="5 classes"):
        MetaDatasetSource(ClassSource(*examples([9, 9, 9, 9, 1])))

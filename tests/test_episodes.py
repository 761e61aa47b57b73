import pytest
import torch
from torch import Tensor

from meta_core.episodes import ClassSource, Size
from meta_core.errors import InvalidTask
from meta_core.types import Episode

CLASSES, EXAMPLES = 8, 10


def numbered() -> tuple[Tensor, Tensor]:
    """Examples that are their own number, [80, 1]; the class is its tens."""
    x = torch.arange(CLASSES * EXAMPLES)
    return x[:, None].float(), x // EXAMPLES


def drawn(size: Size, episodes: int) -> list[Episode]:
    rng = torch.Generator().manual_seed(0)
    source = ClassSource(*numbered())
    return [source.draw(size, rng) for _ in range(episodes)]


def test_classes_and_examples_are_drawn_uniformly() -> None:
    episodes = drawn(Size(ways=3, shots=2, queries=1), 2000)
    chosen = torch.cat([e.support.x for e in episodes]).long().flatten()
    by_class = torch.bincount(chosen // EXAMPLES, minlength=CLASSES) / len(chosen)
    by_example = torch.bincount(chosen, minlength=CLASSES * EXAMPLES) / len(chosen)
    assert (by_class - 1 / CLASSES).abs().max() < 0.01
    assert (by_example - 1 / (CLASSES * EXAMPLES)).abs().max() < 0.005


def test_support_and_query_share_classes_but_no_example() -> None:
    for episode in drawn(Size(ways=4, shots=3, queries=5), 50):
        support, query = episode.support.x.flatten().tolist(), episode.x.flatten().tolist()
        assert len({*support, *query}) == 4 * (3 + 5)
        class_of = dict(zip(episode.support.y.tolist(), [int(x) // EXAMPLES for x in support], strict=True))
        assert [class_of[label] for label in episode.y.tolist()] == [int(x) // EXAMPLES for x in query]
        assert episode.support.counts().tolist() == [3] * 4
        assert torch.bincount(episode.y).tolist() == [5] * 4


def test_a_class_gets_every_label_equally_often() -> None:
    episodes = drawn(Size(ways=CLASSES, shots=1, queries=1), 2000)
    labels = [int((e.support.x.flatten() // EXAMPLES == 0).nonzero()) for e in episodes]
    share = torch.bincount(torch.tensor(labels), minlength=CLASSES) / len(labels)
    assert (share - 1 / CLASSES).abs().max() < 0.03


def test_classes_with_too_few_examples_are_never_drawn() -> None:
    x, y = numbered()
    source, rng = ClassSource(x[:-3], y[:-3]), torch.Generator().manual_seed(0)
    episodes = [source.draw(Size(ways=7, shots=4, queries=4), rng) for _ in range(20)]
    assert max(int(e.support.x.max()) for e in episodes) < (CLASSES - 1) * EXAMPLES


def test_an_impossible_episode_says_what_it_needs_and_what_there_is() -> None:
    with pytest.raises(InvalidTask) as error:
        drawn(Size(ways=5, shots=6, queries=5), 1)
    assert str(error.value) == ("5-way 6-shot with 5 queries needs 5 classes of 11 examples; only 0 have that many")


def test_stored_bytes_become_numbers_from_zero_to_one() -> None:
    x = torch.full((4, 1, 2, 2), 255, dtype=torch.uint8)
    episode = ClassSource(x, torch.tensor([0, 0, 1, 1])).draw(
        Size(ways=2, shots=1, queries=1), torch.Generator().manual_seed(0)
    )
    assert torch.equal(episode.x, torch.ones(2, 1, 2, 2))


def test_the_bytes_of_texts_stay_as_they_are() -> None:
    x = torch.full((6, 5), 104, dtype=torch.uint8)
    source = ClassSource(x, torch.arange(6) // 3)
    assert source.draw(Size(ways=2, shots=1, queries=1), torch.Generator()).x.unique().tolist() == [104]


def test_augmentation_changes_inputs_with_the_generator_of_the_draw() -> None:
    source = ClassSource(*numbered(), augment=lambda x, rng: x + 1000 + torch.rand(1, generator=rng))
    first, second = (source.draw(Size(ways=2, queries=3), torch.Generator().manual_seed(0)) for _ in range(2))
    assert first.x.min() >= 1000
    assert torch.equal(first.x, second.x)

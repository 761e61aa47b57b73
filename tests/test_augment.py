"""Training images are changed a little, and reproducibly."""

import pytest
import torch

from meta_core.augment import photographed_again, small_affine


def blob() -> torch.Tensor:
    x = torch.zeros(50, 1, 28, 28)
    x[:, :, 10:18, 10:18] = 1
    return x


def test_the_same_generator_changes_images_in_the_same_way() -> None:
    first, second = (small_affine(blob(), torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


def test_each_image_is_moved_by_itself_and_not_far() -> None:
    changed = small_affine(blob(), torch.Generator().manual_seed(0))
    position = torch.arange(28.0)
    weight = changed.sum((1, 2, 3))
    centres = torch.stack([(changed.sum((1, axis)) * position).sum(-1) / weight for axis in (2, 3)], -1)  # [N, 2]
    assert centres.std(0).min() > 0.3
    assert (centres - 13.5).abs().max() < 4.5
    assert (weight / 64 - 1).abs().max() < 0.5


def test_a_photograph_keeps_its_edge_and_changes_its_light() -> None:
    grey = torch.full((200, 3, 16, 16), 0.5)
    changed = photographed_again(grey, torch.Generator().manual_seed(0))
    torch.testing.assert_close(changed, changed[:, :, :1, :1].expand_as(changed), atol=1e-5, rtol=0)
    light = changed.mean((1, 2, 3))
    assert light.mean().item() == pytest.approx(0.5, abs=0.02)
    assert 0.33 < light.min() < 0.42 < 0.6 < light.max() < 0.7
    assert (changed[:, 0] - changed[:, 1]).abs().max() > 0.05

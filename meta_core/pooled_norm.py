"""A convolution's maps normalised, max-pooled and rectified, with most of the work done on the pooled maps."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from meta_core.body_part import SupportNorm
from meta_core.mapped import mapped_over_tasks

LEAST_NUMBERS = 200_000
"""In the maps of a convolution; in smaller ones, many small operations take longer than a few large ones."""


def pooled_block(block: nn.Module, x: Tensor, pool: tuple[int, int] = (2, 2)) -> Tensor:
    """ReLU(max-pool(norm(convolution(x)))) of a block of these two; [N, C, H, W] to [N, D, ⌊H / pool⌋, ⌊W / pool⌋].

    Normalisation maps each channel to a·x + b, which commutes with maxima where a ≥ 0. So of large maps on a CPU no
    more is computed than their statistics and maxima; what follows, and its gradients of any order, is of the maxima.
    """
    convolution, norm = block.children()
    assert isinstance(convolution, nn.Conv2d)
    if pool == (1, 1) or not _pays(convolution, norm, x):
        return F.relu(F.max_pool2d(norm(convolution(x)), pool))
    maps = F.conv2d(x, convolution.weight, None, convolution.stride, convolution.padding)
    top, mean, square = _Pooled.apply(maps, pool)  # type: ignore[no-untyped-call] # [N, D, h, w], [N, D], [N, D]
    if isinstance(norm, nn.GroupNorm):
        scale, shift = _by_groups(norm, mean, square, convolution.bias)  # [N, D, 1, 1]
    else:
        assert isinstance(norm, nn.BatchNorm2d)
        scale, shift = _by_batch(norm, mean, square, convolution.bias, len(x) * maps.shape[2] * maps.shape[3])
    return F.relu(torch.addcmul(shift, top, scale))


def _pays(convolution: nn.Conv2d, norm: nn.Module, x: Tensor) -> bool:
    """Whether the maps are large and their own statistics count; a layer that is listened to has to be run."""
    if x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or mapped_over_tasks():
        return False
    if norm._forward_pre_hooks or not _takes_statistics(norm):
        return False
    numbers = len(x) * convolution.out_channels * x.shape[2] * x.shape[3] // convolution.stride[0] ** 2
    return numbers >= LEAST_NUMBERS and not bool((torch.as_tensor(norm.weight) < 0).any())


def _takes_statistics(norm: nn.Module) -> bool:
    if isinstance(norm, SupportNorm):
        return not norm.given()
    return isinstance(norm, nn.GroupNorm) or (type(norm) is nn.BatchNorm2d and norm.training)


class _Pooled(torch.autograd.Function):
    """Maxima [N, C, h, w] of maps [N, C, H, W], with the mean and the mean square of each map, [N, C]."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, pool: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        top, where = F.max_pool2d(maps, pool, return_indices=True)
        ctx.save_for_backward(maps, where)
        ctx.pool = pool
        return top, maps.mean((2, 3)), maps.square().mean((2, 3))

    @staticmethod
    def backward(ctx: Any, top: Tensor, mean: Tensor, square: Tensor) -> tuple[Tensor, None]:
        maps, where = ctx.saved_tensors
        share = 1 / (maps.shape[2] * maps.shape[3])
        of_statistics = torch.addcmul((mean * share)[..., None, None], maps, (square * (2 * share))[..., None, None])
        of_maxima = torch.ops.aten.max_pool2d_with_indices_backward(
            top, maps, ctx.pool, ctx.pool, [0, 0], [1, 1], False, where
        )
        return of_statistics + of_maxima if torch.is_grad_enabled() else of_maxima.add_(of_statistics), None


def _by_groups(norm: nn.GroupNorm, mean: Tensor, square: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Scale and shift of each map, of the statistics [N, C] of maps without their `bias` [C]."""
    n, channels = mean.shape
    groups = (norm.num_groups, -1)
    own = (bias if bias is not None else mean.new_zeros(channels)).view(groups)  # [G, C / G]
    means = mean.view(n, *groups) + own
    centre = means.mean(-1, keepdim=True)  # [N, G, 1]
    within = (square - mean.square()).clamp(min=0).view(n, *groups)
    variance = (within + (means - centre).square()).mean(-1, keepdim=True)
    scale = norm.weight.view(groups) * (variance + norm.eps).rsqrt()  # [N, G, C / G]
    shift = torch.addcmul(norm.bias.view(groups), own - centre, scale)
    return scale.view(n, channels, 1, 1), shift.view(n, channels, 1, 1)


def _by_batch(
    norm: nn.BatchNorm2d, mean: Tensor, square: Tensor, bias: Tensor | None, numbers: int
) -> tuple[Tensor, Tensor]:
    """Scale and shift of each channel; a constant that is added before, as `bias` is, is taken off again."""
    centre = mean.mean(0)  # [C]
    variance = (square.mean(0) - centre.square()).clamp(min=0)
    scale = norm.weight * (variance + norm.eps).rsqrt()
    shift = norm.bias - centre * scale
    if norm.track_running_stats:
        _follow(norm, centre if bias is None else centre + bias, variance * (numbers / max(numbers - 1, 1)))
    return scale[:, None, None], shift[:, None, None]


@torch.no_grad()
def _follow(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics as `BatchNorm2d` does."""
    assert norm.momentum is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(variance, norm.momentum)
    norm.num_batches_tracked += 1

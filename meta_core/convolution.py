"""What convolutional backbones share: the memory layout that is fast, and the form that only answers."""

import torch
from torch import Tensor, nn

from meta_core.mapped import mapped_over_tasks


def channels_last(x: Tensor) -> Tensor:
    """The same values [N, C, H, W] laid out pixel by pixel, a pixel's channels side by side.

    With one channel both layouts are valid and PyTorch keeps the slow one, so the strides are forced.
    """
    n, c, h, w = x.shape
    if c == 1:
        return x.contiguous().as_strided((n, c, h, w), (h * w, 1, w, 1))
    return x.contiguous(memory_format=torch.channels_last)


class GroupNorm(nn.GroupNorm):
    """Group normalisation that can be mapped over tasks."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same."""
        return super().forward(x.contiguous() if mapped_over_tasks() else x)  # `vmap` knows no other layout of it


@torch.no_grad()
def folded(convolution: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """One convolution that does what both do in `eval` mode: W·s and (b − m)·s + β, with s = γ / √(v + ε)."""
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()  # [C]
    bias = norm.bias - norm.running_mean * scale
    if convolution.bias is not None:
        bias = bias + convolution.bias * scale
    one = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,  # type: ignore[arg-type]
        stride=convolution.stride,  # type: ignore[arg-type]
        padding=convolution.padding,  # type: ignore[arg-type]
        device=scale.device,
    )
    one.weight = nn.Parameter(channels_last(convolution.weight * scale[:, None, None, None]), requires_grad=False)
    one.bias = nn.Parameter(bias, requires_grad=False)
    return one

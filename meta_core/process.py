"""What a process that computes sets up once, before it allocates."""

import ctypes

import torch

from meta_core.errors import InvalidParameter

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BLOCK = 32 << 20
"""The most that glibc accepts."""
_KEPT_IN_ALL = 512 << 20


def prepare_process(threads: int) -> None:
    """Use that many threads for tensors, and keep freed memory for the next tensor."""
    torch.set_num_threads(threads)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    # glibc hands big blocks back at once and pays a page fault per 4 KiB to get them again; other libcs have no mallopt
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BLOCK)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_IN_ALL)


def choose_device(name: str) -> torch.device:
    """The device of that name, and its GPU as the thread's own; "auto" is a GPU if there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # the latter from builds without CUDA
        raise InvalidParameter(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from None
    if device.type == "cuda":
        torch.cuda.set_device(device)  # else what names no index, a stream or a graph, would be on the first
    return device

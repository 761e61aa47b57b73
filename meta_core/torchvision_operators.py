"""Lets torchvision be imported beside a PyTorch that its compiled operators were not built for."""

import functools
import importlib.util
from pathlib import Path

import torch

DESCRIBED = ("nms", "qnms")
"""Operators that torchvision describes to PyTorch while it is imported, whether they could be loaded or not."""


@functools.cache
def make_importable() -> None:
    """Declare operators that torchvision's import asks for, where its compiled ones cannot be loaded.

    The only builds on PyPI are for CUDA; beside the CPU build of PyTorch `import torchvision` fails, and with it that
    of timm, and of transformers wherever torchvision is installed. None of them calls these operators for us; one that
    is called still raises.
    """
    found = importlib.util.find_spec("torchvision")
    if found is None or not found.submodule_search_locations or hasattr(torch.ops.torchvision, DESCRIBED[0]):
        return
    for path in Path(found.submodule_search_locations[0]).glob("_C*.so"):
        try:
            torch.ops.load_library(path)  # type: ignore[no-untyped-call]
        except OSError:
            continue
        return
    for name in DESCRIBED:
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

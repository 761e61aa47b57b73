"""Files of weights for the image models of timm: of random numbers, made here."""

import functools
import importlib
import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from meta_core.torchvision_operators import make_importable

INSTALLED = importlib.util.find_spec("timm") is not None
needs_timm = pytest.mark.skipif(not INSTALLED, reason="timm is not installed (extra timm)")


def library() -> Any:
    make_importable()
    return importlib.import_module("timm")


def plain(name: str, classes: int = 7) -> nn.Module:
    """The library's own network with its classifier, of random weights and statistics."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network: nn.Module = library().create_model(name.removeprefix("timm/"), num_classes=classes)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.1, 0.5)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.1)
    return network.eval()


@functools.cache
def weights_of(name: str) -> str:
    """The path of such a file."""
    path = Path(tempfile.mkdtemp()) / "model.safetensors"
    save_file(plain(name).state_dict(), path)
    return str(path)

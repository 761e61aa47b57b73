"""The least time that the multiplications of Conv4-64 can take on one thread of this machine."""

import time

import torch

SIDE = 1024
PIXELS = (28, 14, 7, 3)
"""Height and width before each of the four blocks."""


def limit_ms(images: float) -> float:
    """Milliseconds for the convolutions of so many images of 28×28, at the pace of the best matrix product."""
    channels = (1, 64, 64, 64)
    multiplications = sum(9 * before * 64 * side * side for before, side in zip(channels, PIXELS, strict=True))
    return 1e3 * 2 * multiplications * images / _operations_a_second()


def _operations_a_second() -> float:
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    taken = []
    for _ in range(15):
        started = time.process_time()
        torch.mm(a, b)
        taken.append(time.process_time() - started)
    return float(2 * SIDE**3 / min(taken))

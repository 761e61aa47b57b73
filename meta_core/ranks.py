"""Processes that train one learner together: each takes its share of the tasks, and their gradients are added."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from meta_core.artifact import pack, unpack

PATIENCE = timedelta(hours=2)
"""How long a process waits for the others: rank 0 alone validates, and may have to fetch a dataset first."""
Tensors = dict[str, Tensor]


class Ranks:
    """One of `world` processes that do the same steps on the same random numbers; rank 0 alone writes and reports."""

    def __init__(self, rank: int = 0, world: int = 1) -> None:
        self.rank = rank
        self.world = world

    @property
    def leads(self) -> bool:
        """Whether this is the process that validates, writes and reports."""
        return self.rank == 0

    def mine(self, task: int) -> bool:
        """Whether the task at this place of a meta-batch is computed here."""
        return task % self.world == self.rank

    def total(self, values: list[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in one exchange."""
        if self.world == 1 or not values:
            return
        flat = torch.cat([value.flatten() for value in values])
        dist.all_reduce(flat)
        for value, part in zip(values, torch.split(flat, [value.numel() for value in values]), strict=True):
            value.copy_(part.view_as(value))

    def level(self, buffers: Iterable[Tensor]) -> None:
        """Replace each floating-point buffer, such as running statistics, by its mean over all processes."""
        floating = [buffer for buffer in buffers if buffer.is_floating_point()]
        self.total(floating)
        for buffer in floating:
            buffer.div_(self.world)

    def from_leader(self, tensors: Tensors | None) -> Tensors | None:
        """What rank 0 has, in every process."""
        if self.world == 1:
            return tensors
        device = torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
        content = pack(tensors, {}) if self.leads and tensors is not None else b""
        length = torch.tensor([len(content)], device=device)
        dist.broadcast(length, 0)
        if not length.item():
            return None
        sent = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0)
        sent = sent.to(device) if self.leads else torch.empty(int(length), dtype=torch.uint8, device=device)
        dist.broadcast(sent, 0)
        return unpack(sent.cpu().numpy().tobytes())[0]

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """Rank 0 passes alone, then all others: what it fetched is then there."""
        if not self.leads:
            dist.barrier()
        yield
        if self.leads and self.world > 1:
            dist.barrier()


@contextmanager
def joined(rank: int, world: int, backend: str) -> Iterator[Ranks]:
    """Meet the other processes where MASTER_ADDR and MASTER_PORT, set by torchrun, say."""
    if world == 1:
        yield Ranks()
        return
    dist.init_process_group(backend, rank=rank, world_size=world, timeout=PATIENCE)
    try:
        yield Ranks(rank, world)
    finally:
        dist.destroy_process_group()

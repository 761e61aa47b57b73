"""What the jobs of one process work with."""

from dataclasses import dataclass
from pathlib import Path

import torch
from redis import Redis

from meta_core.catalogue import Catalogue
from meta_core.store import Store
from worker.pulse import Pulse
from worker.shutdown import Shutdown


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """The store is the record of everything; Redis is told about it."""

    store: Store
    catalogue: Catalogue
    redis: Redis
    pulse: Pulse
    shutdown: Shutdown
    device: torch.device
    datasets_folder: Path
    compiling: bool = False

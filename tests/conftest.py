"""What all tests share."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from meta_core import mapped
from meta_core.store import Store
from meta_core.types import State, Support

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tasks each pass over several takes, as they are taken."""
    found: list[int] = []
    compute_together = mapped.in_one_pass

    def noted(compute: mapped.Compute, tasks: Sequence[Support], queries: Sequence[torch.Tensor]) -> list[State]:
        found.append(len(tasks))
        return compute_together(compute, tasks, queries)

    monkeypatch.setattr(mapped, "in_one_pass", noted)
    return found


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real datasets beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the datasets of {SHARED_DATA}, which are not here")
    return SHARED_DATA

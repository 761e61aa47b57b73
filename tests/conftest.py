"""What all tests share."""

from pathlib import Path

import pytest
import torch

from meta_core.store import Store

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real datasets beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the datasets of {SHARED_DATA}, which are not here")
    return SHARED_DATA

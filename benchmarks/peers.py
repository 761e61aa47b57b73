"""What we are compared with, installed from the package registry into folders of their own.

They are put behind our own packages on the path: NumPy and PyTorch are the same for both sides.
"""

import subprocess
import sys
import tarfile
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = Path.home() / ".cache" / "shotput-benchmarks"
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def installed(name: str, packages: Sequence[str]) -> None:
    """Make packages importable that nothing else here needs."""
    folder = FOLDER / name
    if not folder.exists():
        subprocess.run([*PIP, "install", "--target", folder, *packages], check=True)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def learn2learn_maml() -> Any:
    """The unmodified `algorithms/maml.py` of learn2learn 0.2.0, which as a package does not build on newer Pythons."""
    folder = FOLDER / "learn2learn"
    if not folder.exists():
        source = ["download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "learn2learn==0.2.0"]
        subprocess.run([*PIP, *source, "-d", FOLDER], check=True)
        with tarfile.open(FOLDER / "learn2learn-0.2.0.tar.gz") as archive:
            archive.extractall(folder, filter="data")
    package = types.ModuleType("learn2learn")  # its own __init__ imports what no longer installs
    package.__path__ = [str(folder / "learn2learn-0.2.0" / "learn2learn")]
    sys.modules["learn2learn"] = package
    algorithms = types.ModuleType("learn2learn.algorithms")
    algorithms.__path__ = [f"{package.__path__[0]}/algorithms"]
    sys.modules["learn2learn.algorithms"] = algorithms
    from learn2learn.algorithms.maml import MAML  # noqa: PLC0415

    return MAML

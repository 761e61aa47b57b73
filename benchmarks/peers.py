"""What we are compared with, installed from the package registry into folders of their own.

Libraries are put behind our own packages on the path: NumPy and PyTorch are the same for both sides. Servers run in
processes of their own, with their packages before ours.
"""

import os
import subprocess
import sys
import sysconfig
import tarfile
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meta_core.torchvision_operators import make_importable

FOLDER = Path.home() / ".cache" / "shotput-benchmarks"
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
ROOT = Path(__file__).parents[1]


def folder_of(name: str, packages: Sequence[str], *options: str) -> Path:
    """Where these packages are, installed if they were not yet."""
    folder = FOLDER / name
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        subprocess.run([*PIP, "install", *options, "--target", partial, *packages], check=True)
        partial.rename(folder)
    return folder


def installed(name: str, packages: Sequence[str]) -> None:
    """Make packages importable that need nothing but each other and what we have."""
    folder = str(folder_of(name, packages, "--no-deps"))
    if folder not in sys.path:
        sys.path.append(folder)


def environment_of(name: str, packages: Sequence[str]) -> dict[str, str]:
    """The environment of a process in which a server and all that it needs come before our packages."""
    folder = folder_of(name, packages)
    path = os.pathsep.join([str(folder), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


def torchopt() -> Any:
    """The library torchopt."""
    installed("torchopt", ["torchopt==0.7.3", "optree", "graphviz"])
    import torchopt  # noqa: PLC0415

    return torchopt


def higher() -> Any:
    """The library higher."""
    installed("higher", ["higher==0.2.1"])
    import higher  # noqa: PLC0415

    return higher


def easyfsl_protonet() -> Any:
    """The prototypical networks of easyfsl; what else it imports is for data and pictures."""
    make_importable()
    installed("easyfsl", ["easyfsl==1.5.0", "loguru"])
    from easyfsl.methods.prototypical_networks import PrototypicalNetworks  # noqa: PLC0415

    return PrototypicalNetworks


def environment(name: str, packages: Sequence[str]) -> Path:
    """Folder of the programs of an environment that has these packages, and otherwise what runs this."""
    folder = FOLDER / name
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        (theirs,) = folder.glob("lib/python3*/site-packages")
        (theirs / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        subprocess.run([folder / "bin" / "python", *PIP[1:], "install", *packages], check=True)
        (folder / "complete").touch()
    return folder / "bin"


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

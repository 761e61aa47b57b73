"""Results as JSON, with the machine and the commit they were measured on."""

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def write(name: str, command: str, results: list[dict[str, Any]]) -> None:
    """Write `results/<name>.json` and show the rows."""
    record = {"command": command, "machine": machine(), "commit": commit(), "results": results}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    for row in results:
        print("  ".join(f"{key} {_short(value)}" for key, value in row.items()))


def machine() -> dict[str, Any]:
    """What the numbers were measured on, and when."""
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return gpu | {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def commit() -> str:
    """The commit checked out."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

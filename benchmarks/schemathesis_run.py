"""Schemathesis over the OpenAPI document of a service of its own: `python -m benchmarks.schemathesis_run PROGRAM`.

PROGRAM is `schemathesis` in an environment of its own (`python -m venv st && st/bin/pip install schemathesis`). All its
checks but one: that whatever fits the schema is accepted, which no schema of examples to learn from can promise. An
answer may take as long as `?wait=60` asks for.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from app import keys
from benchmarks.record import write
from tests.e2e.service import Service


def main() -> None:
    """Start a service with one API key, try its operations, and exit as Schemathesis does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--examples", type=int, default=20, help="most examples of an operation")
    parser.add_argument("--phases", default="examples,coverage,fuzzing,stateful")
    parser.add_argument("--seed", default="0")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:
        service = Service(Path(folder), SHOTPUT_WAIT="2", SHOTPUT_MAX_BODY_BYTES="3000000", HF_HUB_OFFLINE="1")
        try:
            service.start()
            _, key = keys.create(service.store, "tried", ["admin"], None, None)
            report = Path(folder) / "report.json"
            done = subprocess.run([*_command(arguments, service.port, key), "--report-json-path", report], check=False)
            again = f"--examples {arguments.examples} --phases {arguments.phases} --seed {arguments.seed}"
            write("schemathesis", f"python -m benchmarks.schemathesis_run PROGRAM {again}", [summary(report)])
            sys.exit(done.returncode)
        finally:
            service.close()


def summary(report: Path) -> dict[str, Any]:
    """What was tried, and what was found."""
    told = json.loads(report.read_text())
    return {
        "schemathesis": told["schemathesis_version"],
        "operations": told["operations"]["tested"],
        "cases": told["test_cases"]["generated"],
        "seconds": told["running_time"],
        "phases": {name: phase["status"] for name, phase in told["phases"].items()},
        "failures": [failure.get("title", str(failure)) for failure in told["failures"]],
        "errors": len(told["errors"]),
    }


def _command(arguments: argparse.Namespace, port: int, key: str) -> list[str]:
    return [
        *(arguments.program, "run", f"http://127.0.0.1:{port}/openapi.json"),
        *("-H", f"Authorization: Bearer {key}", "--phases", arguments.phases, "--seed", arguments.seed),
        *("--checks", "all", "--exclude-checks", "positive_data_acceptance", "--max-response-time", "90"),
        *("--max-examples", str(arguments.examples), "--request-timeout", "90", "--continue-on-failure"),
    ]


if __name__ == "__main__":
    main()

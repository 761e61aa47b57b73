"""The README is true: its curl lines print what it says they print."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.service import Service

ROOT = Path(__file__).parents[2]
CHANGING = {"id", "created_at", "seconds", "links", "request_id", "model", "ms", "lineage"}
README = (ROOT / "README.md").read_text()


def console_lines() -> list[tuple[str, str]]:
    """Each command of the README's consoles, and the output below it."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    return [
        (command, output)
        for block in blocks
        for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.M)
    ]


def plain(value: Any) -> Any:
    """What does not change from one run or machine to the next."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items() if key not in CHANGING}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value


def about(value: Any) -> Any:
    """The same, but for numbers that differ a little."""
    if isinstance(value, dict):
        return {key: about(part) for key, part in value.items()}
    if isinstance(value, list):
        return [about(part) for part in value]
    return pytest.approx(value, abs=0.02) if isinstance(value, float) else value


def test_the_curl_lines_print_what_the_readme_says(service: Service) -> None:
    ids: dict[str, str] = {}
    lines = console_lines()
    assert len(lines) >= 5
    for documented, expected in lines:
        command = documented.replace("http://127.0.0.1:8000", str(service.client.base_url).rstrip("/"))
        for shown, real in ids.items():
            command = command.replace(shown, real)
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
        said, shown_answer = json.loads(done.stdout), json.loads(expected)
        assert plain(said) == {**plain(said), **about(plain(shown_answer))}, command
        if "id" in said:
            ids[shown_answer["id"]] = said["id"]


def test_the_commands_it_names_exist() -> None:
    for script in ("script/up", "script/test"):
        assert script in README
        assert (ROOT / script).stat().st_mode & 0o111
    assert "script/test" in (ROOT / ".ci" / "run").read_text()


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} → {target}"

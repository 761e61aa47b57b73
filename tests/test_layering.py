"""Imports run one way: app and worker stand on meta_core, never on each other."""

import subprocess
import sys

import pytest

CORE = (
    "import importlib, pkgutil, meta_core\n"
    "for m in pkgutil.walk_packages(meta_core.__path__, 'meta_core.'): importlib.import_module(m.name)\n"
)
APP = CORE.replace("meta_core", "app")
WORKER = "import worker.process, worker.reconcile, worker.settings, worker.jobs"


@pytest.mark.parametrize(
    ("imports", "forbidden"),
    [
        (CORE, {"fastapi", "starlette", "redis", "rq", "app", "worker"}),
        (APP, {"worker"}),
        (WORKER, {"app", "fastapi", "starlette"}),
    ],
    ids=["meta_core", "app", "worker"],
)
def test_importing_a_package_loads_nothing_above_it(imports: str, forbidden: set[str]) -> None:
    code = f"{imports}\nimport sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not forbidden & set(done.stdout.split())

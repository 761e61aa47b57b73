"""Meta-training by two processes: the same result as by one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from meta_core.base import unpack_base
from meta_core.ranks import Ranks
from meta_core.recipe import Recipe, meta_train
from tests.running import ROOT, free_port, shotput

TRAINING = {"tasks": 3, "steps": 6, "shots": 5, "queries": 5, "validation_tasks": 2, "validate_every": 3}
TOGETHER = """
import sys, torch, torch.distributed as dist
from meta_core.ranks import joined
rank, port = int(sys.argv[1]), sys.argv[2]
import os; os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
with joined(rank, 2, "gloo") as ranks:
    values = [torch.full((2,), float(rank + 1)), torch.tensor([[10.0 * rank]])]
    ranks.total(values)
    buffers = [torch.tensor([float(rank)]), torch.tensor(7)]
    ranks.level(buffers)
    shared = ranks.from_leader({"a": torch.arange(3)} if rank == 0 else None)
    nothing = ranks.from_leader(None)
    print([v.tolist() for v in values], [b.tolist() for b in buffers], shared["a"].tolist(), nothing)
"""


def test_two_processes_make_what_one_makes(tmp_path: Path) -> None:
    parts = {"dataset": "sinusoids", "learner": "cnp", "backbone": "identity", "params": {"width": 8}}
    recipe = Recipe.parse({"name": "waves", **parts, "training": TRAINING}, "recipe")
    where = {"datasets_folder": tmp_path, "device": torch.device("cpu")}
    alone = meta_train(recipe, version=1, report=lambda progress: None, **where)  # type: ignore[arg-type]
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    output = tmp_path / "base.safetensors"
    files = ["--recipe", tmp_path / "recipe.json", "--output", output]
    done = shotput("meta-train", *files, "--processes", "2", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("validation") == 1
    together = unpack_base(output.read_bytes())
    assert_close(together.weights, alone.weights, atol=1e-5, rtol=1e-4)
    assert together.provenance["processes"] == 2
    assert [step for step, _, _ in together.provenance["curve"]] == [3, 6]
    assert not list(tmp_path.glob("checkpoints/*"))


def test_sums_means_and_checkpoints_are_exchanged() -> None:
    port = str(free_port())
    started = [
        subprocess.Popen([sys.executable, "-c", TOGETHER, str(rank), port], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in started]
    assert said[0] == said[1] == "[[3.0, 3.0], [[10.0]]] [[0.5], 7] [0, 1, 2] None\n"


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_task_of_a_step_is_somebodys(world: int) -> None:
    ranks = [Ranks(rank, world) for rank in range(world)]
    assert all(sum(rank.mine(task) for rank in ranks) == 1 for task in range(7))


def test_one_process_alone_has_nothing_to_exchange() -> None:
    value = torch.ones(2)
    Ranks().total([value])
    Ranks().level([value])
    assert value.tolist() == [1, 1]

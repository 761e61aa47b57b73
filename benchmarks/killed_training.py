"""A meta-training whose workers are killed again and again ends with the weights of one that was left in peace.

python -m benchmarks.killed_training [--kills 10] [--steps 4000]

Each worker is killed (`kill -9`) at a random moment after it has got further than the one before it.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import write
from meta_core.artifact import unpack
from meta_core.catalogue import Catalogue
from meta_core.errors import NotFound
from meta_core.ids import checkpoint_key
from meta_core.orders import Order
from meta_core.process import prepare_process
from meta_core.recipe import Recipe, meta_train
from tests.worker.site import TENANT, Site, sine_recipe, until

PATIENCE = 300


def main() -> None:
    """One training, recorded."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--kills", type=int, default=10)
    arguments.add_argument("--steps", type=int, default=4000)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:
        site = Site(Path(folder))
        try:
            row = run(site, given.kills, given.steps, random.Random(given.seed))
        finally:
            site.close()
    command = f"python -m benchmarks.killed_training --kills {given.kills} --steps {given.steps} --seed {given.seed}"
    write("killed_training", command, [row])
    sys.exit(row["tensors that differ"])


def run(site: Site, kills: int, steps: int, rng: random.Random) -> dict[str, Any]:
    """What the disturbed training made, beside what the same recipe makes undisturbed; exact."""
    recipe = sine_recipe(steps, validate_every=steps // (2 * kills + 2))
    for _ in range(2):
        site.start_worker()
    order, reached = site.submit(recipe), []
    for left in reversed(range(kills)):
        reached.append(until(lambda: further(site, order, reached), seconds=PATIENCE))
        time.sleep(rng.uniform(0, 0.2))
        holder = site.holder(order)
        (worker,) = (worker for worker in site.workers if worker.pid == holder)
        worker.kill()
        worker.wait()
        if left:
            site.start_worker()
        site.give_again(order)
    status, record = until(lambda: site.outcome(order), seconds=PATIENCE)
    assert status == "ready", record
    disturbed = Catalogue(site.store).get(record["base"], TENANT).weights
    prepare_process(1)
    asked = Recipe.parse(recipe, "recipe")
    alone = meta_train(asked, version=1, datasets_folder=site.folder, device=torch.device("cpu"), report=lambda _: None)
    assert disturbed.keys() == alone.weights.keys()
    return {
        "kills": kills,
        "steps": steps,
        "checkpoints found before each kill": reached,
        "continued": site.log().count(f"{order.id}: continues after step"),
        "tensors": len(disturbed),
        "tensors that differ": sum(not torch.equal(disturbed[name], alone.weights[name]) for name in disturbed),
        "versions": len(Catalogue(site.store).versions("sine", TENANT)),
    }


def further(site: Site, order: Order, reached: list[int]) -> int:
    """The step of the last checkpoint, if it is a later one than those before; else 0."""
    try:
        tensors, _ = unpack(site.store.get(checkpoint_key(TENANT, order.id)))
    except NotFound:
        return 0
    step = int(tensors["step"])
    return step if step > max(reached, default=0) else 0


if __name__ == "__main__":
    main()

"""A worker process killed or stopped in the middle of an order."""

import signal
from typing import Any

import torch

from meta_core.artifact import unpack
from meta_core.catalogue import Catalogue
from meta_core.ids import checkpoint_key, result_key
from meta_core.recipe import Recipe, meta_train
from tests.worker.site import TENANT, Site, sine_recipe, until
from worker.pulse import CLAIM_KEY
from worker.reconcile import LEADER_KEY


def test_a_killed_training_is_taken_on_from_its_checkpoint_by_another_worker(site: Site) -> None:
    order = site.submit(sine_recipe(600, validate_every=150))
    first, second = site.start_worker(), site.start_worker()
    until(lambda: site.store.exists(checkpoint_key(TENANT, order.id)))
    holder = site.holder(order)
    {first.pid: first, second.pid: second}[holder].send_signal(signal.SIGKILL)
    checkpoint, _ = unpack(site.store.get(checkpoint_key(TENANT, order.id)))
    status, record = until(lambda: site.outcome(order))
    assert (status, record["base"]) == ("ready", "sine@1")
    assert f"{order.id}: continues after step {checkpoint['step']}" in site.log()
    assert Catalogue(site.store).versions("sine", TENANT) == [1]


def test_a_stopped_worker_that_wakes_after_its_training_was_ended_by_another_changes_nothing(site: Site) -> None:
    recipe = sine_recipe(2000, validate_every=200)
    order = site.submit(recipe)
    workers = {worker.pid: worker for worker in (site.start_worker() for _ in range(2))}
    until(lambda: _checkpoint(site, order.id), seconds=300)
    sleeper = workers[site.holder(order)]
    sleeper.send_signal(signal.SIGSTOP)
    _let_expire(site, order.id)
    assert until(lambda: site.outcome(order), seconds=300)[0] == "ready"
    made = site.store.get(result_key(TENANT, order.id))
    sleeper.send_signal(signal.SIGCONT)
    stopped = (f"{order.id}: stopped, it has an outcome already", f"{order.id}: ready, but it had an outcome already")
    until(lambda: any(line in site.log() for line in stopped), seconds=120)
    until(lambda: not site.redis.exists(CLAIM_KEY + order.id))
    assert site.store.get(result_key(TENANT, order.id)) == made
    assert Catalogue(site.store).versions("sine", TENANT) == [1]
    assert not site.store.exists(checkpoint_key(TENANT, order.id))
    _assert_weights_of_an_undisturbed_training(site, recipe)


def _assert_weights_of_an_undisturbed_training(site: Site, recipe: dict[str, Any]) -> None:
    alone = meta_train(
        Recipe.parse(recipe, "recipe"),
        version=1,
        datasets_folder=site.folder,
        device=torch.device("cpu"),
        report=lambda _: None,
    )
    made = Catalogue(site.store).get("sine", TENANT).learner.state_dict()
    assert all(torch.equal(made[name], value) for name, value in alone.learner.state_dict().items())


def _let_expire(site: Site, id: str) -> None:
    """What a dead worker holds expires by itself, seconds later."""
    site.redis.delete(CLAIM_KEY + id, LEADER_KEY)


def _checkpoint(site: Site, id: str) -> int:
    """The step of the last checkpoint; 0 where there is none."""
    if not site.store.exists(checkpoint_key(TENANT, id)):
        return 0
    return int(unpack(site.store.get(checkpoint_key(TENANT, id)))[0]["step"])

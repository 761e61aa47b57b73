"""Worker processes killed, or stopped for long, in the middle of an order."""

import random
import signal

from benchmarks.killed_training import run
from meta_core.catalogue import Catalogue
from meta_core.ids import checkpoint_key, result_key
from tests.worker.site import TENANT, Site, sine_recipe, until


def test_a_training_that_is_killed_again_and_again_ends_with_the_weights_of_one_left_in_peace(site: Site) -> None:
    found = run(site, kills=2, steps=600, rng=random.Random(0))
    assert (found["continued"], found["tensors that differ"], found["versions"]) == (2, 0, 1), found


def test_a_stopped_worker_that_wakes_after_its_order_was_redone_changes_nothing(site: Site) -> None:
    order = site.submit(sine_recipe(100, validate_every=25))
    workers = {worker.pid: worker for worker in (site.start_worker(), site.start_worker())}
    until(lambda: site.store.exists(checkpoint_key(TENANT, order.id)), seconds=120)
    stopped = workers[site.holder(order)]
    stopped.send_signal(signal.SIGSTOP)
    site.give_again(order)
    assert until(lambda: site.outcome(order), seconds=120)[0] == "ready"
    before = site.store.get(result_key(TENANT, order.id))
    stopped.send_signal(signal.SIGCONT)
    until(lambda: f"{order.id}: stopped, it has an outcome already" in site.log())
    assert site.store.get(result_key(TENANT, order.id)) == before
    assert Catalogue(site.store).versions("sine", TENANT) == [1]
    assert not site.store.exists(checkpoint_key(TENANT, order.id))

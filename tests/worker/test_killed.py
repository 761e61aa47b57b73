"""A worker process killed in the middle of an order."""

import signal

from meta_core.artifact import unpack
from meta_core.catalogue import Catalogue
from meta_core.ids import checkpoint_key
from tests.worker.site import TENANT, Site, sine_recipe, until


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

"""What the reconciler queues again, and what it leaves alone."""

import pytest

from meta_core.ids import order_key
from meta_core.orders import TURNS
from tests.worker.site import TENANT, Site, sine_recipe
from worker.lines import Lines
from worker.pulse import Pulse
from worker.reconcile import Reconciler


@pytest.fixture
def reconciler(site: Site) -> Reconciler:
    return Reconciler(site.redis, site.store, "tester")


def test_an_order_found_nowhere_twice_in_a_row_is_queued(site: Site, reconciler: Reconciler) -> None:
    training, adapting = site.accept(sine_recipe(1)), site.accept({"record": {}}, "adapt")
    assert [reconciler.look() for _ in range(4)] == [0, 2, 0, 0]
    assert site.queue("meta-train").get_job_ids() == [training.id]
    assert site.queue("adapt").get_job_ids() == [adapting.id]


def test_an_order_lost_between_the_queue_and_its_worker_is_queued_once(site: Site, reconciler: Reconciler) -> None:
    order = site.submit(sine_recipe(1))
    lines = Lines("meta-train", site.redis)
    assert [job.id for job in lines.take(1, block=1)] == [order.id]  # by a worker that is killed right here
    assert [reconciler.look() for _ in range(3)] == [0, 1, 0]
    assert [job.id for job in lines.take(1, block=1)] == [order.id]


def test_a_tenant_that_lost_its_turn_gets_it_back(site: Site, reconciler: Reconciler) -> None:
    order = site.submit(sine_recipe(1))
    site.redis.zpopmin(TURNS["meta-train"])  # by a worker that is killed before it takes any order
    assert reconciler.look() == 0
    assert [job.id for job in Lines("meta-train", site.redis).take(1, block=1)] == [order.id]


def test_a_claimed_order_is_left_alone_until_it_is_let_go(site: Site, reconciler: Reconciler) -> None:
    order = site.accept(sine_recipe(1))
    mine, other = (Pulse(site.redis, site.store, "meta-train", name) for name in ("mine", "other"))
    assert mine.begin(TENANT, order.id)
    assert not other.begin(TENANT, order.id)
    assert [reconciler.look() for _ in range(3)] == [0, 0, 0]
    site.redis.flushall()
    assert reconciler.look() == 0
    mine.beat()
    assert reconciler.look() == 0
    mine.let_go([order.id])
    assert [reconciler.look() for _ in range(2)] == [0, 1]


def test_an_order_that_cannot_be_read_holds_up_no_other(site: Site, reconciler: Reconciler) -> None:
    unreadable, good = site.accept(sine_recipe(1)), site.accept(sine_recipe(1))
    site.store.replace(order_key(TENANT, unreadable.id), b"{")
    assert [reconciler.look() for _ in range(2)] == [0, 1]
    assert site.queue("meta-train").get_job_ids() == [good.id]

"""One worker process, and what may happen while it lives. Each test leaves it running, or the next starts another."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from meta_core.ids import checkpoint_key
from meta_core.orders import DONE_CHANNEL
from tests.worker.site import TENANT, Process, Site, sine_recipe, until
from worker.life import ATTEMPTS_KEY
from worker.pulse import CLAIM_KEY

ENDLESS = 1_000_000


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:
        site = Site(Path(folder))
        try:
            yield site
        finally:
            site.close()


@pytest.fixture
def worker(site: Site) -> Process:
    if not site.workers or site.workers[-1].poll() is not None:
        return site.ready_worker()
    return site.workers[-1]


@pytest.mark.usefixtures("worker")
def test_a_queued_order_is_finished_and_announced_and_leaves_nothing_in_redis(site: Site) -> None:
    with site.redis.pubsub() as channel:
        channel.subscribe(DONE_CHANNEL)
        order = site.submit(sine_recipe(20))
        status, record = until(lambda: site.outcome(order))
        heard = until(lambda: channel.get_message(ignore_subscribe_messages=True))
    assert (status, record["base"]) == ("ready", "sine@1")
    assert heard["data"] == order.id.encode()
    until(lambda: not site.redis.keys(f"*{order.id}*"))
    assert not site.store.exists(checkpoint_key(TENANT, order.id))


def test_an_emptied_redis_loses_no_order_and_disturbs_none(site: Site, worker: Process) -> None:
    running, waiting = site.submit(sine_recipe(ENDLESS)), site.submit(sine_recipe(5))
    until(lambda: site.step(running))
    site.redis.flushall()
    assert until(lambda: site.queue("meta-train").get_job_ids()) == [waiting.id]
    assert site.redis.exists(CLAIM_KEY + running.id)
    assert worker.pid in site.live_workers()
    site.cancel(running)
    assert until(lambda: site.outcome(waiting))[0] == "ready"


def test_a_restart_of_redis_is_survived_with_the_order_in_hand(site: Site, worker: Process) -> None:
    order = site.submit(sine_recipe(ENDLESS))
    until(lambda: site.step(order))
    site.server.stop()
    site.server.start()
    before = site.step(order)
    until(lambda: site.step(order) > before)
    site.cancel(order)
    assert worker.poll() is None


@pytest.mark.usefixtures("worker")
def test_an_order_is_let_go_of_when_redis_fails_just_after_it_was_claimed(site: Site) -> None:
    site.redis.execute_command("ACL", "SETUSER", "default", "-expire")
    try:
        order = site.submit(sine_recipe(5))
        until(lambda: "Redis is away: User default has no permissions" in site.log())
    finally:
        site.redis.execute_command("ACL", "SETUSER", "default", "+expire")
    assert until(lambda: site.outcome(order))[0] == "ready"


@pytest.mark.usefixtures("worker")
def test_a_cancelled_training_stops_at_its_next_step(site: Site) -> None:
    order = site.submit(sine_recipe(ENDLESS))
    until(lambda: site.step(order))
    site.cancel(order)
    until(lambda: not site.redis.exists(CLAIM_KEY + order.id), seconds=20)
    assert (site.outcome(order) or ("none",))[0] == "cancelled"
    assert not site.store.exists(checkpoint_key(TENANT, order.id))


@pytest.mark.usefixtures("worker")
def test_a_function_that_is_no_job_is_refused(site: Site) -> None:
    touched = site.folder / "touched"
    site.enqueue("meta-train", func="pathlib.Path.touch", args=(str(touched),), job_id="stranger")
    until(lambda: "refused the job stranger: there is no job 'pathlib.Path.touch'" in site.log())
    assert not touched.exists()
    until(lambda: not site.redis.keys("*stranger*"))


@pytest.mark.usefixtures("worker")
def test_an_order_that_takes_too_long_fails(site: Site) -> None:
    order = site.submit(sine_recipe(ENDLESS), timeout=1)
    status, record = until(lambda: site.outcome(order))
    assert (status, record["error"]) == ("failed", {"code": "timeout", "detail": "took longer than 1 s"})


@pytest.mark.usefixtures("worker")
def test_an_order_started_three_times_without_an_end_fails(site: Site) -> None:
    order = site.accept(sine_recipe(5))
    site.redis.set(ATTEMPTS_KEY + order.id, 3)
    status, record = until(lambda: site.outcome(order))
    assert (status, record["error"]["code"]) == ("failed", "poison")
    assert record["error"]["detail"].startswith("killed its worker 3 times; ")


def test_a_worker_asked_to_end_leaves_its_training_open_with_the_checkpoint(site: Site, worker: Process) -> None:
    order = site.submit(sine_recipe(ENDLESS, validate_every=10))
    until(lambda: site.store.exists(checkpoint_key(TENANT, order.id)))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    assert site.outcome(order) is None
    assert site.store.exists(checkpoint_key(TENANT, order.id))
    assert not site.live_workers()
    assert not site.redis.exists(CLAIM_KEY + order.id)
    assert site.redis.get(ATTEMPTS_KEY + order.id) == b"0"
    site.cancel(order)

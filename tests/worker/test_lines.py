"""Orders that wait are taken in turns of their tenants."""

import pytest
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from meta_core.orders import Order, now
from meta_core.queueing import Queueing
from tests.worker.site import Site
from worker.lines import Lines


@pytest.fixture
def lines(site: Site) -> Lines:
    return Lines("adapt", site.redis)


def send(site: Site, tenant: str, number: int) -> str:
    order = Order(id=f"{tenant}-{number}", tenant=tenant, kind="adapt", spec={}, created_at=now())
    site.enqueue("adapt", tenant, **order.queue_call())
    return order.id


def test_a_flood_of_one_tenant_delays_another_by_one_turn(site: Site, lines: Lines) -> None:
    flood = [send(site, "loud", i) for i in range(100)]
    quiet = send(site, "quiet", 0)
    turns = [[job.id for job in lines.take(8, block=1)] for _ in range(3)]
    assert turns == [flood[:8], [quiet], flood[8:16]]


def test_a_worker_leaves_something_for_others(site: Site, lines: Lines) -> None:
    sent = [send(site, "someone", i) for i in range(4)]
    assert [[job.id for job in lines.take(8, block=1)] for _ in range(3)] == [sent[:2], sent[2:3], sent[3:]]


def test_what_is_put_back_is_taken_first(site: Site, lines: Lines) -> None:
    sent = [send(site, "someone", i) for i in range(3)]
    first, second = lines.take(8, block=1)
    for job in (second, first):
        lines.put_back("someone", job)
    assert [job.id for _ in range(2) for job in lines.take(8, block=1)] == sent


def test_nobody_waiting_is_no_order(lines: Lines) -> None:
    assert lines.take(8, block=0.01) == []


def test_an_order_is_queued_as_rq_queues_it(site: Site, lines: Lines) -> None:
    order = Order(id="one", tenant="someone", kind="adapt", spec={}, created_at=now())

    def left() -> tuple[dict[str, object], list[str], set[bytes]]:
        job = site.redis.hgetall(Job.key_for("one"))
        told = {name: value for name, value in job.items() if name not in (b"created_at", b"enqueued_at")}
        assert len(job) == len(told) + 2
        return told, lines.queue("someone").get_job_ids(), site.redis.smembers("rq:queues")

    assert lines.put_again(order)
    ours = left()
    site.redis.flushall()
    site.enqueue("adapt", "someone", **order.queue_call())
    assert ours == left()


def test_an_order_that_was_taken_can_be_queued_again_and_one_that_waits_only_once(site: Site, lines: Lines) -> None:
    order = Order(id="one", tenant="someone", kind="adapt", spec={}, created_at=now())
    queueing = Queueing(site.redis, lambda name: Queue(name, connection=site.redis, serializer=JSONSerializer))
    assert [queueing.put(order), queueing.put(order)] == [True, False]
    assert [job.id for job in lines.take(8, block=1)] == ["one"]
    assert [lines.put_again(order), queueing.put(order)] == [True, False]
    assert [job.id for job in lines.take(8, block=1)] == ["one"]
    assert lines.take(8, block=0.01) == []

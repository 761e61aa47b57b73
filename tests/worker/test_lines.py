"""Orders that wait are taken in turns of their tenants."""

import pytest

from meta_core.orders import Order, now
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

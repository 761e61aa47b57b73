"""How orders end."""

import threading
from dataclasses import replace

import pytest
import torch
from redis.exceptions import RedisError
from rq.job import Job

from meta_core.engine import Engine, TaskRequest
from meta_core.errors import InvalidTask, Unavailable
from meta_core.orders import Order, Result, load_order
from meta_core.recipe import Recipe, meta_train
from tests.worker.site import TENANT, Site, sine_recipe
from worker.interrupt import cancellable
from worker.jobs import jobs_of
from worker.life import ATTEMPTS_KEY, Interrupted, carry_out
from worker.process import OrderWorker
from worker.pulse import CLAIM_KEY, Pulse
from worker.workplace import Workplace

CPU = torch.device("cpu")


def one_adapt_by_a_worker(site: Site, place: Workplace, *, room: bool) -> Order:
    recipe = Recipe.parse(sine_recipe(1), "recipe")
    base = meta_train(recipe, version=1, datasets_folder=site.folder, device=CPU, report=lambda _: None)
    place.catalogue.publish(base, "job")
    request = TaskRequest(base="sine@1", inputs=[[0.0], [1.0], [2.0]], labels=[0.0, 1.0, 2.0])
    record, support = Engine(place.catalogue, CPU).accept(request)
    order = site.accept({"record": record}, "adapt", support)
    site.enqueue("adapt", **order.queue_call())
    if not room:
        (site.folder / "store" / TENANT / "models").write_text("in the way")
    OrderWorker("adapt", place, jobs_of("adapt", place)).work_until_asked_to_end(1)
    return order


def test_an_adapt_order_becomes_a_model(site: Site, place: Workplace) -> None:
    outcome = site.outcome(one_adapt_by_a_worker(site, place, room=True))
    assert outcome is not None
    assert (outcome[0], outcome[1]["base"]) == ("ready", "sine@1")


def test_an_adapt_that_the_store_has_no_room_for_stays_open_and_is_let_go_of(site: Site, place: Workplace) -> None:
    order = one_adapt_by_a_worker(site, place, room=False)
    assert load_order(site.store, TENANT, order.id) is not None
    assert site.redis.get(ATTEMPTS_KEY + order.id) == b"0"
    assert not site.redis.exists(CLAIM_KEY + order.id, Job.key_for(order.id))


def test_a_mistake_of_the_caller_is_told_and_one_of_ours_is_not(site: Site, place: Workplace) -> None:
    def callers(order: Order) -> Result:
        raise InvalidTask("nothing to learn")

    def ours(order: Order) -> Result:
        raise ZeroDivisionError("a secret path")

    errors = []
    for work in (callers, ours):
        order = site.accept(sine_recipe(1))
        carry_out(place, TENANT, order.id, work)
        status, record = site.outcome(order) or ("none", {})
        assert status == "failed"
        errors.append(record["error"])
    assert errors[0] == {"code": "invalid_task", "detail": "nothing to learn"}
    assert errors[1]["code"] == "internal"
    assert "secret" not in errors[1]["detail"]


def test_an_order_waits_out_what_is_unavailable_as_often_as_it_takes(site: Site, place: Workplace) -> None:
    def unavailable(order: Order) -> Result:
        raise Unavailable("the store is away")

    order = site.accept(sine_recipe(1))
    for _ in range(5):
        with pytest.raises(Unavailable):
            carry_out(place, TENANT, order.id, unavailable)
    assert site.outcome(order) is None
    assert site.redis.get(ATTEMPTS_KEY + order.id) == b"0"


def test_an_outcome_that_the_store_has_no_room_for_is_no_killed_worker(site: Site, place: Workplace) -> None:
    order = site.accept(sine_recipe(1))
    made = Result(status="ready", record={"base": "sine@1"})
    in_the_way = site.folder / "store" / TENANT / "jobs"
    in_the_way.write_text("")
    for _ in range(5):
        with pytest.raises(Unavailable):
            carry_out(place, TENANT, order.id, lambda _: made)
    in_the_way.unlink()
    carry_out(place, TENANT, order.id, lambda _: made)
    assert (site.outcome(order) or ("none",))[0] == "ready"


def test_a_second_execution_changes_nothing(site: Site, place: Workplace) -> None:
    order = site.accept(sine_recipe(1))
    made = Result(status="ready", record={"base": "sine@1"})

    def overtaken(order: Order) -> Result:
        carry_out(place, TENANT, order.id, lambda _: made)
        return replace(made, record={"base": "sine@2"})

    assert carry_out(place, TENANT, order.id, overtaken) is None
    assert carry_out(place, TENANT, order.id, overtaken) is None
    assert (site.outcome(order) or ("", {}))[1]["base"] == "sine@1"


def test_what_comes_after_a_cancellation_is_handed_back_to_be_withdrawn(site: Site, place: Workplace) -> None:
    order = site.accept(sine_recipe(1))
    made = Result(status="ready", record={"base": "sine@1"})

    def cancelled_meanwhile(order: Order) -> Result:
        site.cancel(order)
        return made

    assert carry_out(place, TENANT, order.id, cancelled_meanwhile) == made
    assert (site.outcome(order) or ("none",))[0] == "cancelled"


def test_an_adapt_cancelled_before_it_could_be_interrupted_is_stopped(site: Site, place: Workplace) -> None:
    went_on = []

    def endless(order: Order) -> Result:
        site.cancel(order)
        place.pulse.beat()
        with cancellable(place.pulse):
            place.pulse.beat()
            went_on.append(order.id)
        return Result(status="ready", record={})

    order = site.accept({"record": {}}, "adapt")
    place.pulse.begin(TENANT, order.id)
    assert carry_out(place, TENANT, order.id, endless) is None
    assert not went_on
    assert (site.outcome(order) or ("none",))[0] == "cancelled"


def test_an_adapt_whose_worker_shall_end_waits_for_another_and_is_not_counted(site: Site, place: Workplace) -> None:
    pulse = Pulse(place.redis, site.store, "adapt", "ending", ending=lambda: True)

    def endless(order: Order) -> Result:
        with cancellable(pulse):
            pulse.beat()
            raise AssertionError("it went on")

    order = site.accept({"record": {}}, "adapt")
    for _ in range(4):
        with pytest.raises(Interrupted):
            carry_out(place, TENANT, order.id, endless)
    assert site.outcome(order) is None
    assert site.redis.get(ATTEMPTS_KEY + order.id) == b"0"


def test_a_pulse_that_stops_is_no_thread_any_more(place: Workplace) -> None:
    place.pulse.start()
    place.pulse.stop()
    place.pulse.join(30)
    assert place.pulse not in threading.enumerate()


def test_claims_let_go_while_redis_is_away_are_given_up_when_it_is_back(site: Site, place: Workplace) -> None:
    mine, taken = (site.accept({"record": {}}, "adapt").id for _ in range(2))
    assert place.pulse.claim([mine, taken]) == {mine, taken}
    site.server.stop()
    with pytest.raises(RedisError):
        place.pulse.let_go([mine, taken])
    site.server.start()
    site.redis.set(CLAIM_KEY + taken, "another")
    assert site.redis.get(CLAIM_KEY + mine) == b"tester"
    place.pulse.beat()
    assert site.redis.get(CLAIM_KEY + mine) is None
    assert site.redis.get(CLAIM_KEY + taken) == b"another"

"""Orders: accepted for good, with one outcome each."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from meta_core.errors import Gone, NotFound, NotReady, Unusable
from meta_core.ids import new_id, result_key, support_key
from meta_core.orders import (
    Order,
    Result,
    accept,
    delete_result,
    finish,
    load_order,
    load_outcome,
    open_orders,
    require_ready,
)
from meta_core.store import Store

TENANT = "default"


def order() -> Order:
    return Order(id=new_id("mdl"), tenant=TENANT, kind="adapt", spec={"record": {"base": "x@1"}}, created_at="now")


def test_an_accepted_order_is_open_until_it_has_an_outcome(store: Store) -> None:
    accepted = order()
    accept(store, accepted, b"support")
    assert list(open_orders(store)) == [(TENANT, accepted.id)]
    assert load_order(store, TENANT, accepted.id) == accepted
    assert load_outcome(store, TENANT, accepted.id) is None
    assert finish(store, accepted, Result(status="ready", record={"seconds": 1}, tensors={"w": torch.ones(2)}))
    assert list(open_orders(store)) == []
    assert store.get(support_key(TENANT, accepted.id)) == b"support"
    outcome = load_outcome(store, TENANT, accepted.id)
    assert outcome is not None
    assert outcome[0] == "ready"
    assert outcome[1] == {
        "id": accepted.id,
        "kind": "adapt",
        "created_at": "now",
        "base": "x@1",
        "seconds": 1,
        "status": "ready",
    }


def test_the_first_outcome_stays(store: Store) -> None:
    accepted = order()
    accept(store, accepted)
    assert finish(store, accepted, Result(status="cancelled", record={}))
    assert not finish(store, accepted, Result(status="ready", record={}))
    assert (load_outcome(store, TENANT, accepted.id) or ("",))[0] == "cancelled"


def test_of_many_outcomes_at_once_one_is_committed(store: Store) -> None:
    accepted = order()
    accept(store, accepted)
    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(lambda i: finish(store, accepted, Result(status="ready", record={"by": i})), range(32)))
    assert sum(first) == 1
    outcome = load_outcome(store, TENANT, accepted.id)
    assert outcome is not None
    assert outcome[1]["by"] == first.index(True)


def test_what_was_deleted_cannot_be_brought_back(store: Store) -> None:
    accepted = order()
    accept(store, accepted, b"support")
    delete_result(store, TENANT, accepted.id, "later")
    assert list(open_orders(store)) == []
    assert not finish(store, accepted, Result(status="ready", record={}, tensors={"w": torch.ones(2)}))
    assert (load_outcome(store, TENANT, accepted.id) or ("",))[0] == "deleted"
    assert list(store.keys(TENANT)) == [result_key(TENANT, accepted.id)]


def test_a_long_record_is_read_whole(store: Store) -> None:
    accepted = order()
    finish(store, accepted, Result(status="ready", record={"classes": ["x" * 100] * 2000}))
    outcome = load_outcome(store, TENANT, accepted.id)
    assert outcome is not None
    assert len(outcome[1]["classes"]) == 2000


@pytest.mark.parametrize(
    ("status", "record", "error"),
    [
        (None, {}, NotFound),
        ("queued", {}, NotReady),
        ("running", {}, NotReady),
        ("failed", {"error": {"detail": "why"}}, Unusable),
        ("cancelled", {}, Unusable),
        ("deleted", {"deleted_at": "then"}, Gone),
    ],
)
def test_only_what_is_ready_can_be_used(status: str | None, record: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        require_ready(status, record, "mdl_1")
    require_ready("ready", {}, "mdl_1")


def test_a_queued_job_is_a_name_and_ids() -> None:
    one = order()
    call = one.queue_call()
    assert call["args"] == (TENANT, one.id)
    assert (call["job_id"], call["unique"]) == (one.id, True)

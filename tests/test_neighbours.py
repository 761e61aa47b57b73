"""Explanations: the support examples nearest to a query, kept no longer than their model."""

import gc
from pathlib import Path

import pytest
import torch

from app.cache import ModelCache
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine
from meta_core.errors import Gone, InvalidTask
from meta_core.ids import support_key
from meta_core.neighbours import Neighbours
from meta_core.orders import delete_result
from meta_core.store import Store
from tests.test_incremental import NAMES, TENANT, X, adapted, publish


@pytest.fixture
def engine(store: Store) -> Engine:
    return Engine(Catalogue(store), torch.device("cpu"))


def test_shares_are_those_of_the_distances(engine: Engine, store: Store) -> None:
    base, _ = publish(engine, "ridge", backbone="identity")
    model = adapted(engine, store, base, X, NAMES)
    z, query = torch.tensor(X), torch.tensor(X[:1]) + 0.1
    squared = torch.cdist(query, z).square()
    unit = torch.cdist(z, z).square().fill_diagonal_(torch.inf).amin(1).mean()
    shares, order = (-squared / unit).softmax(-1)[0].sort(descending=True)
    (because,) = Neighbours(engine, store).explain(model, query)
    assert [one["example"] for one in because] == order[:5].tolist()
    assert [one["label"] for one in because] == [NAMES[i] for i in order[:5]]
    assert [one["share"] for one in because] == pytest.approx(shares[:5].tolist(), rel=1e-4)


def test_a_support_set_is_not_encoded_to_explain(engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    base, _ = publish(engine, "protonet")
    model = adapted(engine, store, base, X, NAMES)
    encoded: list[int] = []
    body = engine.learner_of(model).backbone
    plain = body.forward
    monkeypatch.setattr(body, "forward", lambda x: encoded.append(len(x)) or plain(x))
    neighbours = Neighbours(engine, store)
    for _ in range(2):
        neighbours.explain(model, torch.tensor(X[:1]))
    assert encoded == [1, 1]  # the queries


def test_what_was_kept_goes_with_the_model(engine: Engine, store: Store, tmp_path: Path) -> None:
    base, _ = publish(engine, "ridge")
    id = adapted(engine, store, base, X, NAMES).id
    cache, neighbours = ModelCache(store, 1 << 20), Neighbours(engine, store)
    neighbours.explain(cache.get(TENANT, id), torch.tensor(X[:1]))
    gc.collect()
    assert len(neighbours._kept) == 1
    delete_result(store, TENANT, id, "now")
    cache.evict(id)
    gc.collect()
    assert len(neighbours._kept) == 0
    with pytest.raises(Gone):
        cache.get(TENANT, id)


def test_without_its_support_set_nothing_is_explained(engine: Engine, store: Store) -> None:
    base, _ = publish(engine, "ridge")
    model = adapted(engine, store, base, X, NAMES)
    store.delete(support_key(TENANT, model.id))
    with pytest.raises(InvalidTask, match="was not kept"):
        Neighbours(engine, store).explain(model, torch.tensor(X[:1]))

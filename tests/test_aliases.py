"""A name shares its questions between models by weight, and the same key always means the same model."""

from collections import Counter

import pytest

from meta_core.aliases import Alias, aliases_of, delete_alias, load_alias, save_alias
from meta_core.errors import InvalidRequest, NotFound
from meta_core.ids import checked_alias
from meta_core.store import Store

A, B, C = (f"mdl_01a1fe4414cf7acab390123a1a3d318{digit}" for digit in "abc")
KEYS = [f"customer {number}" for number in range(4000)]


def alias(**changed: object) -> Alias:
    return Alias(**{"name": "x", "models": {A: 3.0, B: 1.0}, "updated_at": "", **changed})  # type: ignore[arg-type]


def test_questions_are_shared_by_weight() -> None:
    counts = Counter(map(alias().pick, KEYS))
    assert counts[A] / len(KEYS) == pytest.approx(0.75, abs=0.03)
    assert set(counts) == {A, B}


def test_a_key_stays_and_moves_only_to_the_model_that_gained() -> None:
    before = [alias().pick(key) for key in KEYS]
    assert before == [alias(models={B: 1.0, A: 3.0}).pick(key) for key in KEYS]
    for models in ({A: 3.0, B: 2.0}, {A: 3.0, B: 1.0, C: 2.0}):
        after = [alias(models=models).pick(key) for key in KEYS]
        gained = list(models)[-1]
        moved = [new for old, new in zip(before, after, strict=True) if old != new]
        assert set(moved) == {gained}


@pytest.mark.parametrize("models", [{}, {A: 0.0}, {A: -1.0}, {A: float("nan")}, {A: 1e9}])
def test_impossible_weights_are_refused(models: dict[str, float]) -> None:
    with pytest.raises(InvalidRequest):
        alias(models=models)


def test_a_name_is_kept_moved_and_forgotten(store: Store) -> None:
    save_alias(store, "one", alias())
    save_alias(store, "one", alias(models={B: 1.0}))
    save_alias(store, "one", alias(name="a"))
    assert load_alias(store, "one", "x").models == {B: 1.0}
    assert [found.name for found in aliases_of(store, "one")] == ["a", "x"]
    assert list(aliases_of(store, "other")) == []
    delete_alias(store, "one", "x")
    for forgotten in (load_alias, delete_alias):
        with pytest.raises(NotFound, match="no alias 'x'"):
            forgotten(store, "one", "x")


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", A, "job_x", "dst_1", "a" * 64])
def test_other_text_names_no_alias(name: str) -> None:
    with pytest.raises(NotFound):
        checked_alias(name)

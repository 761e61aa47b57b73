"""The store: whole objects, of which the first wins."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from meta_core.errors import NotFound, Unavailable
from meta_core.store import PARTIAL, Store
from tests.s3 import s3_store


@pytest.fixture(params=["folder", "memory", "s3"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    if request.param == "s3":
        with s3_store(monkeypatch) as store:
            yield store
        return
    yield Store(str(tmp_path / "objects") if request.param == "folder" else "memory:///")


def test_what_was_created_can_be_read(any_store: Store) -> None:
    assert any_store.create("a/b.json", b"content")
    assert any_store.get("a/b.json") == b"content"
    assert any_store.head("a/b.json", 4) == b"cont"
    assert any_store.head("a/b.json", 400) == b"content"
    assert any_store.exists("a/b.json")


def test_the_second_create_changes_nothing(any_store: Store) -> None:
    any_store.create("a", b"first")
    assert not any_store.create("a", b"second")
    assert any_store.get("a") == b"first"


def test_of_many_creates_at_once_one_wins(any_store: Store) -> None:
    if any_store.url == "s3://bucket":
        pytest.skip("moto's server checks If-None-Match without a lock; set SHOTPUT_TEST_S3 to a real store")
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda i: any_store.create("a", str(i).encode()), range(64)))
    assert sum(won) == 1
    assert any_store.get("a") == str(won.index(True)).encode()


def test_replace_takes_the_place_of_what_was_there(any_store: Store) -> None:
    any_store.create("a", b"first")
    any_store.replace("a", b"second")
    assert any_store.get("a") == b"second"


def test_a_missing_object_is_not_found_and_deleting_it_is_no_error(any_store: Store) -> None:
    with pytest.raises(NotFound, match="x/y"):
        any_store.get("x/y")
    with pytest.raises(NotFound, match="x/y"):
        any_store.head("x/y", 10)
    assert not any_store.exists("x/y")
    any_store.delete("x/y")


def test_keys_are_those_below_the_folder(any_store: Store) -> None:
    for key in ("a/1", "a/2", "ab/3", "b/a/4"):
        any_store.create(key, b"")
    assert sorted(any_store.keys("a")) == ["a/1", "a/2"]
    assert any_store.folders() == ["a", "ab", "b"]


def test_sizes_are_those_of_the_objects_below_the_folder(any_store: Store) -> None:
    for key, content in (("a/1", b""), ("a/b/2", b"12"), ("ab/3", b"123")):
        any_store.create(key, content)
    assert dict(any_store.sizes("a")) == {"a/1": 0, "a/b/2": 2}


def test_an_interrupted_write_is_no_object(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.create("a/1", b"")
    (tmp_path / "a" / f"2.0123{PARTIAL}").write_bytes(b"half")
    assert list(store.keys("a")) == ["a/1"]


def test_a_store_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    store = Store(str(tmp_path))
    with pytest.raises(Unavailable, match="file/a"):
        store.create("file/a", b"")


def test_what_the_store_fails_is_counted(store: Store) -> None:
    def failed() -> float:
        return REGISTRY.get_sample_value("shotput_store_errors_total", {"operation": "put"}) or 0.0

    before = failed()
    store.create("folder", b"a file where a folder is needed")
    with pytest.raises(Unavailable):
        store.create("folder/key", b"")
    assert failed() == before + 1

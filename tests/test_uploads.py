"""Datasets that somebody sends: what is taken, what is refused and named, and how they become tasks."""

import csv
import datetime
import io
import json
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from meta_core import uploads
from meta_core.archive import pack_folder
from meta_core.dataset import build_dataset
from meta_core.episodes import Size
from meta_core.errors import InvalidDataset, InvalidRequest, LimitExceeded, NotFound
from meta_core.format import Reading
from meta_core.formats.parquet import Parquet
from meta_core.ids import content_key, dataset_folder
from meta_core.limits import Limits
from meta_core.modality import modalities
from meta_core.store import Store
from tests.drawings import FIGURES, draw, png

TENANT = "default"


@pytest.fixture(params=["folder", "memory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path / "objects") if request.param == "folder" else "memory:///")


def archive(path: Path, members: dict[str, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def drawings(classes: int = 8, copies: int = 4) -> dict[str, bytes]:
    return {f"root/class {c}/{k}.png": png(draw(FIGURES[c % 3], k)) for c in range(classes) for k in range(copies)}


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def table(rows: int = 40) -> str:
    lines = [f"{i},{'red' if i % 2 else ''},{'big' if i > rows // 2 else 'small'}" for i in range(rows)]
    return "\n".join(["length,colour,kind", *lines])


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def source(store: Store, card: dict[str, Any], split: str, **values: Any) -> Any:
    known = uploads.resolved(store, TENANT, "uploaded", {"id": card["id"], **values})
    with uploads.at_hand(store, TENANT, "uploaded", known, Path()) as folder:
        return build_dataset("uploaded", folder / "uploaded", known).source(split)  # type: ignore[arg-type]


def test_a_zip_of_class_folders_is_described_kept_and_found(any_store: Store, tmp_path: Path) -> None:
    path = archive(tmp_path / "birds.zip", {**drawings(), "__MACOSX/root/._x": b"", "root/.DS_Store": b""})
    card, new = uploads.add(any_store, TENANT, path, name="birds")
    assert new
    assert (card["modality"], card["format"], card["task"]) == ("image", "folders", "classification")
    assert (card["examples"], card["ways"], card["shape"]) == (32, 8, [3, 28, 28])
    assert card["classes"] == {f"class {c}": 4 for c in range(8)}
    assert card["bytes"] == path.stat().st_size
    assert uploads.load_card(any_store, TENANT, card["id"]) == card
    assert uploads.cards(any_store, TENANT) == [card]
    assert uploads.add(any_store, TENANT, path, name="again") == (card, False)
    with pytest.raises(NotFound):
        uploads.load_card(any_store, "another", card["id"])
    uploads.remove(any_store, TENANT, card["id"])
    assert list(any_store.keys(dataset_folder(TENANT))) == []
    assert uploads.add(any_store, TENANT, path)[1]


def test_the_parts_share_no_class_leave_none_out_and_are_drawn_by_the_seed(store: Store, tmp_path: Path) -> None:
    card, _ = uploads.add(store, TENANT, archive(tmp_path / "a.zip", drawings(12)))
    preprocessing = {"size": 20, "channels": 1}
    names = {}
    for split in ("train", "validation", "test", "train+validation"):
        part = source(store, card, split, preprocessing=preprocessing)
        names[split] = set(part.names)
        assert part.shape == (1, 20, 20)
        assert part.names == source(store, card, split, preprocessing=preprocessing).names
    assert names["train"] | names["validation"] == names["train+validation"]
    assert names["train+validation"] | names["test"] == set(card["classes"])
    assert sum(len(names[split]) for split in ("train", "validation", "test")) == 12
    assert min(map(len, names.values())) >= 2
    assert set(source(store, card, "test", seed=5).names) != names["test"]


def test_an_episode_of_images_holds_the_images(store: Store, tmp_path: Path) -> None:
    card, _ = uploads.add(store, TENANT, archive(tmp_path / "a.zip", drawings(9)))
    episode = source(store, card, "train").draw(Size(ways=3, shots=1, queries=2), torch.Generator())
    assert episode.support.x.shape == (3, 3, 28, 28)
    assert 0 <= episode.x.min() < episode.x.max() <= 1


@pytest.mark.parametrize(
    ("name", "members", "place", "detail"),
    [
        ("up", {"../evil/x.png": b""}, "../evil/x.png", "leads out"),
        ("root", {"/etc/x.png": b""}, "/etc/x.png", "leads out"),
        ("backslash", {"a\\..\\x.png": b""}, "x.png", ""),
        ("loose", {"x.png": b""}, "x.png", "class folder"),
        ("text", {"a/x.doc": b"hello"}, "a/x.doc", "none of the kinds"),
        ("damaged", {"a/1.png": b"no image", "b/2.png": b"\x89PNG\r\n\x1a\n"}, "a/1.png", "not a readable image"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_an_archive_must_not_hold_is_named(
    store: Store, tmp_path: Path, name: str, members: dict[str, bytes], place: str, detail: str
) -> None:
    with pytest.raises(InvalidDataset) as caught:
        uploads.add(store, TENANT, archive(tmp_path / f"{name}.zip", members))
    assert place in str(caught.value.problems)
    assert detail in str(caught.value.problems)
    assert list(store.keys(dataset_folder(TENANT))) == []


def test_every_unreadable_member_is_named(store: Store, tmp_path: Path) -> None:
    members = {**drawings(3, 3), "root/class 0/bad.png": b"x", "root/class 2/worse.png": b"y"}
    with pytest.raises(InvalidDataset) as caught:
        uploads.add(store, TENANT, archive(tmp_path / "a.zip", members))
    assert [place for place, _ in caught.value.problems] == ["root/class 0/bad.png", "root/class 2/worse.png"]


def test_links_bombs_and_crowds_are_refused(store: Store, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(InvalidDataset, match=r"a/link\.png: is a link"):
        uploads.add(store, TENANT, tmp_path / "link.zip")
    bomb = archive(tmp_path / "bomb.zip", {"a/0.png": bytes(5_000_000)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(InvalidDataset, match="max_dataset_ratio"):
        uploads.add(store, TENANT, bomb)
    many = archive(tmp_path / "many.zip", drawings(3, 3))
    for limits in (Limits(max_dataset_members=8), Limits(max_dataset_bytes=100), Limits(max_dataset_unpacked_bytes=9)):
        with pytest.raises(LimitExceeded):
            uploads.add(store, TENANT, many, limits=limits)
    with pytest.raises(LimitExceeded, match="members"):  # before its directory is read
        uploads.add(
            store,
            TENANT,
            archive(tmp_path / "x.zip", {f"{i:0700}": b"" for i in range(3)}),
            limits=Limits(max_dataset_members=2),
        )
    cut = written(tmp_path / "cut.zip", many.read_bytes()[:-30])
    with pytest.raises(InvalidDataset, match="cut off"):
        uploads.add(store, TENANT, cut)


def test_a_member_that_does_not_unpack_to_its_checksum_is_named(store: Store, tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", drawings(2, 2))
    content = bytearray(path.read_bytes())
    at = content.index(b"IDAT") + 8
    content[at] ^= 0xFF
    with pytest.raises(InvalidDataset, match=r"0\.png: cannot be unpacked"):
        uploads.add(store, TENANT, written(path, bytes(content)))


def test_a_table_becomes_rows_with_the_target_as_label(store: Store, tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", table())
    card, _ = uploads.add(store, TENANT, path)
    assert (card["modality"], card["classes"]) == ("table", {"big": 19, "small": 21})
    train, test = (source(store, card, split) for split in ("train", "test"))
    assert train.shape == test.shape == (3,)  # length, colour red, colour missing
    episode = train.draw(Size(ways=5, shots=2, queries=3), torch.Generator())
    assert episode.support.ways == 2
    other, _ = uploads.add(store, TENANT, path, reading=Reading(target="length"), task="regression")
    assert (other["task"], other["ways"]) == ("regression", None)
    assert other["id"] != card["id"]
    assert source(store, other, "train").draw(Size(shots=4, queries=3), torch.Generator()).y.shape == (3, 1)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a,b\n1,x\n2\n", "line 3: has 1 cells where line 1 has 2"),
        ("a,a\n1,x\n", "two different column names"),
        ("a,b\n1,x\n2,x\n", "at least two classes"),
        ("a,b\n1,\n", "line 2: a label"),
        (b"a,b\n1,x\n" + b"\n" * 5000 + b"\xff\xfe,y\n", "cannot be read"),
        ('{"input": [1], "label": "a"}\nnonsense\n', "line 2: is not JSON"),
        ('{"text": "hi", "tag": "a"}\n', "line 1: a line is"),
        ('{"input": [1, 2], "label": "a"}\n{"input": [1], "label": "b"}\n', "line 2"),
        ('{"input": [1, 2], "label": "a"}\n' * 8 + '{"input": [1], "label": "b"}', "line 9: .*shape"),
        (b"\x00\x01\x02", "not recognised"),
    ],
)
def test_what_a_text_file_lacks_is_said_with_its_line(store: Store, tmp_path: Path, content: Any, problem: str) -> None:
    with pytest.raises(InvalidDataset, match=problem):
        uploads.add(store, TENANT, written(tmp_path / "file", content))


def test_lines_of_json_hold_inputs_of_any_modality(store: Store, tmp_path: Path) -> None:
    lines = [json.dumps({"input": [float(i), 1.0], "label": f"class {i % 7}"}) for i in range(70)]
    card, _ = uploads.add(store, TENANT, written(tmp_path / "v.jsonl", "\n".join(lines)))
    assert (card["modality"], card["ways"], card["shape"]) == ("vector", 7, [2])
    assert len(source(store, card, "test").names) == 2


@pytest.mark.skipif("text" not in modalities, reason="the modality text is not there")
def test_texts_come_as_lines_or_as_a_column(store: Store, tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"text {i}", "label": f"class {i % 7}"}) for i in range(70)]
    card, _ = uploads.add(store, TENANT, written(tmp_path / "t.jsonl", "\n".join(lines)))
    assert (card["modality"], card["ways"]) == ("text", 7)
    rows = "utterance,intent\n" + "\n".join(f"text {i},{i % 7}" for i in range(70))
    column, _ = uploads.add(store, TENANT, written(tmp_path / "t.csv", rows), reading=Reading(modality="text"))
    first, second = (source(store, one, "train+validation") for one in (card, column))
    assert first.x.shape[1:] == second.x.shape[1:]
    assert first.x.max() > 1  # as the modality wrote them, not as shades of grey


def test_arrays_are_vectors_or_images_by_their_axes(store: Store, tmp_path: Path) -> None:
    y = np.arange(30) % 6
    vectors, _ = uploads.add(store, TENANT, npz(tmp_path / "v.npz", x=np.random.rand(30, 4), y=y))
    assert (vectors["modality"], vectors["shape"], vectors["ways"]) == ("vector", [4], 6)
    images, _ = uploads.add(store, TENANT, npz(tmp_path / "i.npz", x=np.random.rand(30, 9, 9), y=y))
    assert (images["modality"], images["shape"]) == ("image", [3, 28, 28])
    x = np.random.rand(30, 4)
    points, _ = uploads.add(store, TENANT, npz(tmp_path / "r.npz", x=x, y=x.sum(1)))
    part = source(store, points, "train+validation")
    torch.testing.assert_close(part.x.sum(1, keepdim=True), part.y)


def test_classes_of_arrays_may_be_texts(store: Store, tmp_path: Path) -> None:
    x, names = np.random.rand(30, 4), np.array(["fünf", "six", "seven"])[np.arange(30) % 3]
    card, _ = uploads.add(store, TENANT, npz(tmp_path / "t.npz", x=x, y=names))
    assert card["classes"] == {"fünf": 10, "six": 10, "seven": 10}
    names[4] = chr(0xD800)
    with pytest.raises(InvalidDataset, match=r"y\[4\]: is no text"):
        uploads.add(store, TENANT, npz(tmp_path / "u.npz", x=x, y=names))


def test_pickled_and_unfit_arrays_are_refused(store: Store, tmp_path: Path) -> None:
    x, y = np.zeros((4, 2)), np.arange(4) % 2
    for problem, arrays in {
        r"y\.npy: .*unpickling": {"x": x, "y": np.array(["a", None, {}, 1], dtype=object)},
        r"x\.npy: .*unpickling": {"x": np.array([None] * 4, dtype=object), "y": y},
        "the arrays x and y": {"x": x, "z": y},
        "one label each": {"x": x, "y": y[:3]},
    }.items():
        with pytest.raises(InvalidDataset, match=problem):
            uploads.add(store, TENANT, npz(tmp_path / "a.npz", **arrays))


def test_parquet_is_read_as_the_same_table_in_csv(store: Store, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = list(csv.DictReader(io.StringIO(table())))
    columns = {
        "length": [float(row["length"]) for row in rows],
        "colour": [row["colour"] or None for row in rows],
        "kind": [row["kind"] for row in rows],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    card, _ = uploads.add(store, TENANT, tmp_path / "t.parquet")
    same, _ = uploads.add(store, TENANT, written(tmp_path / "t.csv", table()))
    assert (card["format"], card["classes"]) == ("parquet", same["classes"])
    assert torch.equal(source(store, card, "train").x, source(store, same, "train").x)
    written(tmp_path / "bad", (tmp_path / "t.parquet").read_bytes()[:-20])
    with pytest.raises(InvalidDataset, match="as Parquet"):
        uploads.add(store, TENANT, tmp_path / "bad")
    with pytest.raises(InvalidDataset, match="'weight'"):
        Parquet(tmp_path / "t.parquet", Reading(target="weight"), Limits())


def test_a_key_names_one_upload(store: Store, tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", table())
    card, new = uploads.add(store, TENANT, path, key="mine")
    assert (new, uploads.add(store, TENANT, path, key="mine")) == (True, (card, False))
    with pytest.raises(InvalidRequest, match="used before"):
        uploads.add(store, TENANT, written(tmp_path / "u.csv", table(20)), key="mine")


def test_what_a_dead_upload_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    card, _ = uploads.add(store, TENANT, written(tmp_path / "t.csv", table()))
    dead = content_key(TENANT, "dst_" + "0" * 32, "f" * 64)
    store.create(dead, b"half a life")
    partial = tmp_path / "store" / f"{dead}.0123.partial"
    partial.write_bytes(b"half")
    assert uploads.sweep(store, TENANT) == 0  # it may still be alive
    old = datetime.datetime.now().timestamp() - 3 * 24 * 3600
    for file in (tmp_path / "store").rglob("*"):
        os.utime(file, (old, old))
    assert uploads.sweep(store, TENANT) == 2
    assert uploads.add(store, TENANT, tmp_path / "t.csv") == (card, False)
    assert source(store, card, "train").shape == (3,)


def test_a_packed_folder_is_always_the_same_file(tmp_path: Path) -> None:
    for name, content in drawings(2, 2).items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    (tmp_path / "in" / "root" / ".hidden").write_text("")
    pack_folder(tmp_path / "in" / "root", tmp_path / "a.zip")
    os.utime(tmp_path / "in" / "root" / "class 0" / "0.png", (0, 0))
    pack_folder(tmp_path / "in" / "root", tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert len(zipfile.ZipFile(tmp_path / "a.zip").namelist()) == 4


def waves(series: int = 96, classes: int = 8) -> np.ndarray[Any, Any]:
    """Sines, a period for each class, [N, 40]."""
    phases = np.random.default_rng(0).uniform(0, 6, series)
    return np.sin(np.arange(40) / (1 + np.arange(series) % classes)[:, None] + phases[:, None])


def test_series_come_as_arrays_lines_rows_or_files(store: Store, tmp_path: Path) -> None:
    x, y, reading = waves(), np.arange(96) % 8, Reading(modality="series")
    rows = [[*(repr(value) for value in one), f"class {label}"] for one, label in zip(x.tolist(), y, strict=True)]
    lines = [json.dumps({"input": one, "label": int(label)}) for one, label in zip(x.tolist(), y, strict=True)]
    files = {f"class {y[i]}/{i}.csv": "\n".join(map(str, one)).encode() for i, one in enumerate(x)}
    made = [
        uploads.add(store, TENANT, path, reading=reading)[0]
        for path in (
            npz(tmp_path / "a.npz", x=x, y=y),
            written(tmp_path / "a.jsonl", "\n".join(lines)),
            written(tmp_path / "a.csv", "\n".join(map(",".join, [[*map(str, range(40)), "kind"], *rows]))),
            archive(tmp_path / "a.zip", files),
        )
    ]
    assert {(card["modality"], card["ways"], tuple(card["shape"])) for card in made} == {("series", 8, (1, 40))}
    parts = [source(store, card, "train+validation") for card in made]
    assert {tuple(part.x.shape[1:]) for part in parts} == {(1, 40)}
    torch.testing.assert_close(parts[0].x, parts[1].x)
    torch.testing.assert_close(parts[2].x.sort(0).values, parts[3].x.sort(0).values)


def test_series_of_several_lengths_go_together_and_of_several_channels_do_not(store: Store, tmp_path: Path) -> None:
    x = np.stack([waves(), -waves()], 1)  # [N, 2, 40]
    x[::2, :, 25:] = np.nan
    card, _ = uploads.add(
        store, TENANT, npz(tmp_path / "a.npz", x=x, y=np.arange(96) % 8), reading=Reading(modality="series")
    )
    assert card["shape"] == [2, 40]
    assert source(store, card, "train").x.shape[1:] == (2, 40)
    assert source(store, card, "train", preprocessing={"length": 16}).x.shape[1:] == (2, 16)
    lines = [json.dumps({"input": [[0, 1, 2]] * (1 + i // 8), "label": i % 2}) for i in range(16)]
    with pytest.raises(InvalidDataset, match=r"line 9: is read as shape \[2, 4\], where those before it were \[1, 4\]"):
        uploads.add(store, TENANT, written(tmp_path / "b.jsonl", "\n".join(lines)), reading=Reading(modality="series"))

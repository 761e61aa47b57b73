"""Image models of timm, their weights from files made here, and what keeps one from being used."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from meta_core.backbone import Backbone, build_backbone
from meta_core.base import Base, BaseSpec
from meta_core.errors import InvalidParameter
from meta_core.learner import build_learner
from meta_core.recipe import Recipe
from tests.learners.cases import draw
from tests.timm_weights import needs_timm, plain, weights_of

MODEL, RESNET = "timm/test_vit", "timm/test_resnet"


@pytest.fixture
def files() -> dict[str, str]:
    return {name: weights_of(name) for name in (MODEL, RESNET)}


def build(files: dict[str, str], name: str, shape: tuple[int, ...] = (3, 64, 64), **values: Any) -> Backbone:
    return build_backbone(name, shape, {"weights": files[name], "size": 64, **values})


def images(number: int = 3, size: int = 64) -> Tensor:
    return torch.rand(number, 3, size, size, generator=torch.Generator().manual_seed(1))


@needs_timm
@torch.no_grad()
def test_it_is_the_librarys_network_without_its_classifier(files: dict[str, str]) -> None:
    network, x = plain(RESNET), images()
    expected = network.forward_head(network.forward_features((x - 0.5) / 0.5), pre_logits=True)  # type: ignore[operator]
    assert expected.std(0).max() > 0.01
    torch.testing.assert_close(build(files, RESNET)(x), expected)


@needs_timm
@torch.no_grad()
def test_other_sizes_and_grey_are_brought_to_those_of_the_pretraining(files: dict[str, str]) -> None:
    backbone = build(files, RESNET, (1, 128, 128))
    shades = torch.tensor([0.2, 0.5, 0.9])[:, None, None, None]
    large, small = shades.expand(-1, 1, 128, 128), shades.expand(-1, 3, 64, 64)
    torch.testing.assert_close(backbone(large), backbone(small), atol=1e-2, rtol=1e-3)
    assert type(backbone).reads(type(backbone).Config.parse({"model": "vgg16"}, "")) == {
        "size": 224,
        "channels": 3,
        "framing": "crop",
        "crop": 0.875,
    }


@needs_timm
@torch.no_grad()
def test_frozen_it_answers_alike_in_training_and_no_base_model_holds_its_weights(files: dict[str, str]) -> None:
    values = {"weights": files[RESNET], "size": 64}
    spec = BaseSpec(
        modality="image", backbone=RESNET, backbone_config=values, learners={"classification": ("ridge", {})}
    )
    base = Base(name="photos", version=1, summary="", spec=spec, weights={}, provenance={}, scores={})
    learner = base.learner_for("ridge", {}, (3, 64, 64), "classification")
    expected = learner.encode(images())
    torch.testing.assert_close(learner.train().encode(images()), expected, rtol=0, atol=0)
    assert not learner.state_dict()
    learner.load_state_dict({})
    other = base.learner_for("protonet", {}, (3, 64, 64), "classification")
    first, second = (next(one.backbone.network.parameters()) for one in (learner, other))  # type: ignore[union-attr]
    assert first.data_ptr() == second.data_ptr()


@needs_timm
def test_weights_that_are_not_frozen_can_be_trained_and_are_kept(files: dict[str, str]) -> None:
    backbone = build(files, MODEL, frozen=False)
    backbone.train()(images()).sum().backward()
    assert all(value.requires_grad for value in backbone.parameters())
    assert backbone.state_dict().keys() == {name for name, _ in backbone.named_parameters()}


@needs_timm
@pytest.mark.parametrize("name", ["finetune", "lora"])
@torch.no_grad()
def test_the_last_block_moves_alone_for_a_task(files: dict[str, str], name: str) -> None:
    values = (
        {"body": "last", "body_steps": 1, "folds": 2, "steps": 2}
        if name == "finetune"
        else {"body": "last", "steps": 1}
    )
    backbone = build(files, MODEL)
    assert backbone.last_weights()[0] == "network.blocks.5.norm1.weight"
    learner, support = (
        build_learner(name, backbone, values, "classification").eval(),
        draw("classification", (3, 64, 64)).support,
    )
    support = type(support)(support.x.float(), support.y, 3)
    state = learner.adapt(type(support)(learner.encode(support.x), support.y, 3))
    moved = {key for key in state if "network" in key}
    assert all(".blocks.5." in key or ".norm." in key or ".fc_norm." in key for key in moved)
    assert bool(moved) or name == "finetune"
    assert learner.predict(state, learner.encode(support.x)).log_probabilities.shape == (9, 3)


@needs_timm
@pytest.mark.parametrize(
    ("name", "values", "error", "words"),
    [
        ("timm/vgg99", {}, InvalidParameter, "has no model 'vgg99'"),
        ("timm/vgg16.mine", {}, InvalidParameter, "no pretrained weights 'vgg16.mine'"),
        ("timm/vgg16", {}, InvalidParameter, "its `revision` must be given"),
        ("timm/vgg16", {"weights": "/nowhere/a.safetensors"}, InvalidParameter, "no file of weights in safetensors"),
        ("timm/vgg16", {"weights": "/nowhere/a.bin"}, InvalidParameter, "weights"),
        ("timm/vgg16", {"weights": "/nowhere/a.safetensors", "sha256": "0" * 64}, InvalidParameter, "cannot be read"),
        ("timm/test_vit", {"revision": "a" * 40}, InvalidParameter, "cannot be had from the hub"),
    ],
)
def test_what_cannot_be_had_says_why(
    monkeypatch: pytest.MonkeyPatch, name: str, values: dict[str, str], error: type[Exception], words: str
) -> None:
    monkeypatch.setattr(importlib.import_module("huggingface_hub.constants"), "HF_HUB_OFFLINE", True)
    with pytest.raises(error, match=words):
        build_backbone(name, (3, 64, 64), values)


@needs_timm
def test_weights_of_another_model_or_another_file_are_refused(files: dict[str, str]) -> None:
    with pytest.raises(InvalidParameter, match="it is of another model"):
        build_backbone(MODEL, (3, 64, 64), {"weights": files[RESNET], "size": 64})
    with pytest.raises(InvalidParameter, match="its SHA-256 is"):
        build(files, MODEL, sha256="0" * 64)


@needs_timm
def test_what_stays_frozen_cannot_be_meta_trained(files: dict[str, str], tmp_path: Path) -> None:
    recipe = {
        "name": "photos",
        "dataset": "images",
        "dataset_params": {"path": "birds", "size": 64},
        "backbone": MODEL,
        "backbone_params": {"weights": files[MODEL]},
        "learner": "finetune",
        "params": {"head": "mlp", "hidden": 1024},
    }
    with pytest.raises(InvalidParameter, match="it has no meta-parameters"):
        Recipe.parse(recipe, "recipe").settled()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = importlib.import_module("meta_core.backbones.timm")
    timm._library.cache_clear()
    monkeypatch.setattr(timm.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InvalidParameter, match=r"not installed here: pip install 'shotput\[timm\]'"):
        build_backbone("timm/vgg16", (3, 64, 64), {})

"""Base models of a pretrained body, made without any meta-training."""

from typing import Any

import torch
from pydantic import Field

from meta_core.backbone import backbones
from meta_core.base import Base, BaseSpec
from meta_core.circumstances import circumstances
from meta_core.config import Config
from meta_core.errors import InvalidParameter
from meta_core.ids import NAME
from meta_core.learner import learners
from meta_core.modality import modalities
from meta_core.types import Task

TEXT = 64
"""Bytes of the text on which an encoder is tried."""


class Composition(Config):
    """What is put together: a modality, a body whose weights are not learned here, and a learner on top."""

    name: str = Field(pattern=f"^{NAME.pattern}$", description="name of the base model; a new version of it is made")
    summary: str = Field("", max_length=500, description="what it is for, in a sentence")
    modality: str = Field("image", description="what kind of inputs the body takes")
    preprocessing: dict[str, Any] = Field(
        default_factory=dict, description="settings of the modality; those left out are what the body was made for"
    )
    backbone: str = Field(examples=["timm/vgg16"])
    backbone_params: dict[str, Any] = Field(default_factory=dict)
    learner: str = Field("logistic", description="any that need not be meta-trained; `/adapt` may name another")
    params: dict[str, Any] = Field(default_factory=dict, description="parameters of the learner")


def compose(given: Composition) -> Base:
    """The base model. Loads the body's weights, so that what cannot be used is known now.

    Raises `NotFound`, `InvalidParameter`, and `DownloadFailed` where the weights are to be fetched and are not there.
    """
    family, _, model = given.backbone.partition("/")
    cls = backbones[family]
    config = cls.Config.parse({**given.backbone_params, **({"model": model} if model else {})}, given.backbone)
    modality = modalities[given.modality]
    read = modality.Config.parse({**cls.reads(config), **given.preprocessing}, f"modality {given.modality}")
    preprocessing = read.model_dump(mode="json")
    spec = BaseSpec(
        modality=given.modality,
        modality_config=preprocessing,
        backbone=given.backbone,
        backbone_config=given.backbone_params,
        learners=_learners(given),
        shape=_image_shape(given.modality, preprocessing),
    )
    body = spec.build(spec.shape or (TEXT,), next(iter(spec.learners))).backbone
    if body.state_dict():
        raise InvalidParameter(
            f"backbone {given.backbone} would have the random weights it begins with; POST /meta-train trains it",
            "backbone",
        )
    provenance = {"composed": given.model_dump(), **circumstances(torch.device("cpu"), 0.0)}
    return Base(
        name=given.name, version=1, summary=given.summary, spec=spec, weights={}, provenance=provenance, scores={}
    )


def _learners(given: Composition) -> dict[Task, tuple[str, dict[str, Any]]]:
    """The learner for all that it does, ridge regression for the numbers that it does not predict."""
    cls = learners[given.learner]
    if cls.needs_meta_training:
        raise InvalidParameter(f"learner {given.learner} must be meta-trained: POST /meta-train", "learner")
    params = cls.Config.parse(given.params, f"learner {given.learner}").model_dump(mode="json")
    chosen: dict[Task, tuple[str, dict[str, Any]]] = dict.fromkeys(sorted(cls.tasks), (given.learner, params))
    return {**chosen, "regression": chosen.get("regression", ("ridge", {}))}


def _image_shape(modality: str, preprocessing: dict[str, Any]) -> tuple[int, ...]:
    """That of one input, where the preprocessing fixes it."""
    if modality != "image":
        return ()
    return (preprocessing["channels"], preprocessing["size"], preprocessing["size"])

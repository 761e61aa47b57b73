"""Base models that a benchmark makes from recipes, once, and keeps in a folder."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from meta_core.base import Base, unpack_base
from meta_core.catalogue import SHIPPED
from meta_core.errors import NotFound
from meta_core.recipe import Recipe, meta_train
from meta_core.training import Progress

REPORT_EVERY = 100


def made(recipe: Path, folder: Path, data: Path) -> Base:
    """What the recipe makes: from `folder`, where it is kept under the recipe's own name, or trained here and now."""
    parsed = Recipe.parse(json.loads(recipe.read_text()), "recipe")
    path = folder / f"{parsed.name}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(train(parsed, folder, data).pack())
    return unpack_base(path.read_bytes())


def train(recipe: Recipe, folder: Path, data: Path) -> Base:
    """Meta-train, with a line now and then; it may start from a base model that is shipped or in the folder."""

    def report(progress: Progress) -> None:
        if progress.step % REPORT_EVERY == 0:
            print(recipe.name, progress.step, f"{progress.loss:.4f}", progress.validation, flush=True)

    def find(reference: str) -> Base:
        name = reference.partition("@")[0]
        for path in (SHIPPED / f"{name}.safetensors", folder / f"{name}.safetensors"):
            if path.exists():
                return unpack_base(path.read_bytes())
        raise NotFound(f"base model {reference} is neither shipped nor in {folder}")

    device = torch.device("cpu")
    return meta_train(recipe, version=1, datasets_folder=data, device=device, report=report, bases=find)


def shipped(name: str) -> Base:
    """A base model that comes with the program."""
    return unpack_base((SHIPPED / f"{name}.safetensors").read_bytes())


def with_views(base: Base) -> Base:
    """The same base model with embeddings averaged over five places of each image."""
    body = "backbone."
    weights = {
        f"{body}body.{name.removeprefix(body)}" if name.startswith(body) else name: value
        for name, value in base.weights.items()
    }
    config = {"backbone": base.spec.backbone, "params": base.spec.backbone_config}
    return replace(base, spec=replace(base.spec, backbone="views", backbone_config=config), weights=weights)

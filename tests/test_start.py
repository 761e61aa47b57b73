"""Where a meta-training starts."""

from pathlib import Path
from typing import Any

import pytest
import torch

from meta_core.base import Base
from meta_core.dataset import build_dataset
from meta_core.episodes import Size
from meta_core.errors import InvalidParameter, NotFound
from meta_core.recipe import Recipe, meta_train
from meta_core.start import no_bases
from meta_core.types import Support
from tests.drawings import FIGURES, draw

PARAMS = {"path": "mine", "size": 16, "channels": 1, "framing": "drawing"}
TRAINING = {"steps": 3, "ways": 2, "queries": 2, "rate": 0.01, "validation_tasks": 2, "validate_every": 2, "average": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("datasets")
    for number in range(30):
        for copy in range(3):
            path = folder / "images" / "mine" / f"class {number}" / f"{copy}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(FIGURES[number % 3], copy).save(path)
    return folder


def recipe(**more: Any) -> Recipe:
    return Recipe.model_validate(
        {"name": "made", "dataset": "images", "dataset_params": PARAMS, "training": TRAINING, **more}
    )


@pytest.fixture(scope="module")
def made(folder: Path) -> Base:
    return train(folder, recipe(backbone_params={"width": 8}))


def train(folder: Path, of: Recipe, start: Base | None = None) -> Base:
    bases = no_bases if start is None else lambda reference: start
    return meta_train(
        of, version=1, datasets_folder=folder, device=torch.device("cpu"), report=lambda step: None, bases=bases
    )


def test_a_frozen_body_stays_and_the_learner_learns_on_its_embeddings(folder: Path, made: Base) -> None:
    base = train(folder, recipe(learner="relation", start="made", frozen=True), made)
    body = {name for name in made.weights if name.startswith("backbone.")}
    assert all(torch.equal(base.weights[name], made.weights[name]) for name in body)
    assert base.provenance["recipe"]["start"] == "made@1"
    assert (base.spec.backbone, base.spec.backbone_config) == ("conv4", {"width": 8})
    learner = base.learner_for("relation", {}, base.spec.shape, "classification")
    x = (
        build_dataset("images", folder / "images", PARAMS)
        .source("train")
        .draw(Size(ways=2, queries=2), torch.Generator())
    )
    z = learner.encode(x.support.x)
    assert learner.predict(learner.adapt(Support(z, x.support.y, 2)), z).log_probabilities.shape == (2, 2)


def test_the_same_learner_goes_on_from_its_own_weights(folder: Path, made: Base) -> None:
    unmoved = {**TRAINING, "rate": 1e-12, "weight_decay": 0, "steps": 1}
    base = train(folder, recipe(start="made", training=unmoved), made)
    moving = ("running", "embeddings.mean")
    learned = {name: value for name, value in base.weights.items() if not any(word in name for word in moving)}
    names = [name for name, value in learned.items() if value.is_floating_point()]
    assert "log_scale" in names
    assert all(torch.allclose(base.weights[name], made.weights[name], atol=1e-9) for name in names)


def test_a_learner_that_adapts_the_body_takes_its_statistics_as_constants(folder: Path, made: Base) -> None:
    base = train(folder, recipe(learner="maml", start="made", backbone_params={"norm": "fixed"}), made)
    statistics = "backbone.blocks.0.1.running_mean"
    assert torch.equal(base.weights[statistics], made.weights[statistics])
    assert not torch.equal(base.weights["backbone.blocks.0.0.weight"], made.weights["backbone.blocks.0.0.weight"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"frozen": True, "learner": "relation", "start": None}, "needs a base model"),
        ({"frozen": True, "learner": "anil"}, "nothing to train"),
        ({"frozen": True, "learner": "maml", "backbone_params": {"norm": "fixed"}}, "changes the body"),
        ({"dataset_params": {**PARAMS, "size": 20}}, "reads other inputs"),
        ({"backbone_params": {"width": 16}}, "do not fit"),
        ({"backbone_params": {"norm": "group"}}, "running_mean"),
    ],
)
def test_a_start_that_cannot_be_is_refused(folder: Path, made: Base, more: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        train(folder, recipe(**{"start": "made", **more}), made)


def test_a_start_that_nobody_knows_is_refused(folder: Path) -> None:
    with pytest.raises(NotFound, match="nobody"):
        train(folder, recipe(start="nobody"))

"""Base models from recipes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from meta_core.base import EMBEDDING_MEAN, Base
from meta_core.dataset import build_dataset
from meta_core.episodes import Size
from meta_core.errors import InvalidParameter
from meta_core.learners.simpleshot import SimpleShot
from meta_core.recipe import Recipe, meta_train
from meta_core.training import Progress
from tests.drawings import FIGURES, draw

SMALL = {"steps": 2, "ways": 3, "queries": 1, "validate_every": 2, "validation_tasks": 1}


def train(folder: Path, **values: Any) -> Base:
    recipe = Recipe.parse({"name": "mine", "training": SMALL, **values}, "recipe")
    recipe.settled()
    return meta_train(recipe, version=1, datasets_folder=folder, device=torch.device("cpu"), report=ignore)


def ignore(progress: Progress) -> None:
    pass


def test_a_recipe_may_draw_tasks_of_varying_sizes(tmp_path: Path) -> None:
    for number in range(40):
        for copy in range(3):
            path = tmp_path / "images" / "mine" / f"class {number}" / f"{copy}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(FIGURES[number % 3], copy, size=32).save(path)
    values = {"dataset_params": {"path": "mine", "size": 16, "channels": 1}, "backbone_params": {"width": 8}}
    fixed, varying = (train(tmp_path, dataset="images", sampler=s, **values) for s in ("fixed", "meta-dataset"))
    assert not all(value.equal(fixed.weights[name]) for name, value in varying.weights.items())


@pytest.mark.parametrize("dataset", ["sinusoids", "mixtures"])
def test_generators_have_no_classes_to_draw_from(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match=f"dataset {dataset} has none to draw from"):
        train(tmp_path, dataset=dataset, sampler="meta-dataset", learner="cnp", backbone="identity")


def test_the_mean_embedding_of_the_training_set_is_handed_to_simpleshot(tmp_path: Path) -> None:
    training = {**SMALL, "ways": 5, "shots": 20, "queries": 20}
    base = train(tmp_path, dataset="mixtures", learner="protonet", backbone="mlp", training=training)
    learner = base.learner_for("simpleshot", {}, base.spec.shape, "classification")
    assert isinstance(learner, SimpleShot)
    rng, source = torch.Generator().manual_seed(5), build_dataset("mixtures", tmp_path, {}).source("train")
    drawn = [source.draw(Size(ways=5, shots=40), rng).support.x for _ in range(300)]
    mean = learner.encode(torch.cat(drawn)).mean(0)
    assert (learner.centre - mean).norm() < 0.2 * mean.norm()
    support = source.draw(Size(), rng).support
    assert torch.equal(learner.adapt(replace(support, x=learner.encode(support.x)))["centre"], learner.centre)


def test_a_base_without_it_centres_at_the_support(tmp_path: Path) -> None:
    base = train(tmp_path, dataset="mixtures", learner="protonet", backbone="mlp")
    weights = {name: value for name, value in base.weights.items() if name != EMBEDDING_MEAN}
    learner = replace(base, weights=weights).learner_for("simpleshot", {}, base.spec.shape, "classification")
    assert isinstance(learner, SimpleShot)
    assert not learner.centre.any()

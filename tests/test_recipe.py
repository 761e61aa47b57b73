"""Base models from recipes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from meta_core.base import Base
from meta_core.errors import InvalidParameter
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

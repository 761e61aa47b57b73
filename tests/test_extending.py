"""The learner of docs/extending.md works as it stands."""

import re
from pathlib import Path

import torch

from meta_core.backbone import build_backbone
from meta_core.learner import build_learner, learners
from meta_core.types import Categorical, Support

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


def test_the_example_learner_answers_with_the_nearest_example() -> None:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    known = set(learners)
    try:
        exec(compile(found[1], str(PAGE), "exec"), {"__name__": "example"})
        learner = build_learner("nearest", build_backbone("identity", (2,), {}), {}, "classification")
        support = Support(torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1, 1]), 2)
        answer = learner.predict(learner.adapt(support), torch.tensor([[0.0, 0.4], [0.0, 0.6], [3.0, 0.0]]))
        assert isinstance(answer, Categorical)
        assert answer.log_probabilities.argmax(-1).tolist() == [0, 1, 1]
    finally:
        for name in set(learners) - known:
            del learners._classes[name]

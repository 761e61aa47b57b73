"""Valid bodies of requests."""

import base64
import functools
from typing import Any

from benchmarks.fuzz.files import pictures


@functools.cache
def bodies() -> list[tuple[str, Any]]:
    """Valid bodies, and where they go."""
    rows = {"inputs": [{"a": 0.5, "b": "x"}, {"a": 1, "b": None}] * 2, "labels": ["u", "v"] * 2}
    picture = base64.b64encode(pictures()[0]).decode()
    training = {"steps": 10, "tasks": 2, "shots": 2, "queries": 2}
    recipe = {"name": "x", "dataset": "sinusoids", "learner": "cnp", "backbone": "identity", "training": training}
    points = {"inputs": [[0.5], [1.5]], "labels": [0.5, 1.0]}
    return [
        (
            "/adapt",
            {"base": "table", "support": rows, "learner": "ridge", "params": {"penalty": 1.0}, "metadata": {"a": [1]}},
        ),
        ("/adapt", {"base": "omniglot", "support": {"inputs": [picture] * 2, "labels": [0, 1]}, "keep_support": True}),
        ("/adapt", {"base": "sinusoid", "support": points, "task": "regression", "name": "x"}),
        ("/predict", {"model": "mdl_" + "0" * 32, "inputs": [{"a": 1}], "coverage": 0.9}),
        ("/evaluate", {"model": "mdl_" + "0" * 32, "inputs": [{"a": 1}], "labels": ["u"]}),
        ("/evaluate", {"base": "table", "dataset": "mixtures", "ways": 5, "shots": 1, "tasks": 2}),
        ("/meta-train", recipe),
        ("/meta-train", {**recipe, "dataset": {"id": "dst_" + "0" * 32}, "params": {"width": 8}}),
        ("/models/mdl_" + "0" * 32 + "/readapt", {"base": "omniglot@2"}),
        ("/bases/omniglot/readapt", {"version": 1}),
        ("/bases/omniglot", {"default": 7}),
    ]

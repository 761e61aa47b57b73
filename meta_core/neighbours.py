"""Why a model answers as it does: the support examples that lie nearest to a query."""

import threading
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from meta_core.adapted import AdaptedModel
from meta_core.engine import Engine
from meta_core.errors import InvalidTask, Unusable
from meta_core.incremental import load_source
from meta_core.kept import encode_support
from meta_core.store import Store

MOST_SHOWN = 5
MOST_KEPT = 32
"""Models whose embedded support sets are kept."""

Because = list[dict[str, Any]]


class Neighbours:
    """Finds them in the embedded support sets, which are forgotten together with their models."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine = engine
        self._store = store
        self._kept: WeakKeyDictionary[AdaptedModel, tuple[Tensor, list[Any]]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @torch.inference_mode()
    def explain(self, model: AdaptedModel, x: Tensor) -> list[Because]:
        """For each query [Q, *shape] the nearest support examples with their shares, which sum to 1 over all examples.

        The share of example n is softmax(−‖z − z_n‖² / h) with h the mean squared distance of a support example to
        its nearest other. Raises `InvalidTask` when the support set was not kept.
        """
        z, labels = self._support(model)
        queries = self._engine.learner_of(model).encode(x.to(self._engine.device)).flatten(1)
        squared = torch.cdist(queries, z).square()  # [Q, N]
        apart = torch.cdist(z, z).square().fill_diagonal_(torch.inf).amin(-1)
        unit = apart[apart.isfinite()].mean().clamp(min=1e-12) if len(z) > 1 else squared.mean().clamp(min=1e-12)
        shares, nearest = (-squared / unit).softmax(-1).topk(min(MOST_SHOWN, len(z)), -1)
        return [
            [{"example": i, "label": labels[i], "share": share} for i, share in zip(found, row, strict=True)]
            for found, row in zip(nearest.tolist(), shares.tolist(), strict=True)
        ]

    def _support(self, model: AdaptedModel) -> tuple[Tensor, list[Any]]:
        """Embeddings [N, D] and labels of the support of a model."""
        with self._lock:
            if model in self._kept:
                self._kept[model] = found = self._kept.pop(model)  # the last is that used last
                return found
        try:
            source = load_source(self._store, model.tenant, model.id)
        except Unusable:
            raise InvalidTask(
                f"the support set of {model.id} was not kept (keep_support: false), so its answers cannot be explained"
            ) from None
        learner = self._engine.learner_of(model)
        z = encode_support(learner, source.tensors, self._engine.device)["x"].flatten(1)
        labels = source.labels
        if model.task == "regression":
            labels = [row[0] if len(row) == 1 else row for row in labels]
        with self._lock:
            self._kept[model] = z, labels
            while len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        return z, labels

"""Support sets kept for adapted models, and their embeddings: a change encodes only what is new."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from meta_core.artifact import Header, unpack
from meta_core.errors import NotFound
from meta_core.ids import support_key
from meta_core.learner import Learner
from meta_core.store import Store
from meta_core.together import encode_together

EMBEDDINGS = {"x": "embeddings", "unlabelled": "unlabelled_embeddings"}
"""The tensors of a support set that are encoded, and under which names their embeddings lie beside them."""
PREFIX = "support."
"""Before those names in the artifact of an adapted model, where they are no part of its state."""
MOST_NUMBERS = 500_000
"""Beyond which embeddings are not kept: such a support set is encoded again when it changes."""


def load_support(store: Store, tenant: str, record: Mapping[str, Any]) -> tuple[dict[str, Tensor], Header]:
    """The inputs and labels that a model learned from, as they were read. Raises `NotFound` where none are kept."""
    if not record.get("keep_support", True):
        raise NotFound(f"the support set of {record['id']} is removed, or about to be")
    tensors, header = unpack(store.get(support_key(tenant, record["id"])))
    return {name: value for name, value in tensors.items() if name not in EMBEDDINGS.values()}, header


def encode_support(learner: Learner, tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The inputs of a support set encoded in one pass, but for the first ones whose embeddings lie beside them."""
    parts = [part for part in EMBEDDINGS if part in tensors]
    beside = {part: EMBEDDINGS[part] for part in parts if learner.only_embeds and EMBEDDINGS[part] in tensors}
    known = {part: [tensors[name].to(device)] for part, name in beside.items()}
    new = {part: tensors[part][sum(map(len, known.get(part, ()))) :] for part in parts}
    wanted = [part for part in parts if len(new[part])]
    encoded = encode_together(learner, [new[part] for part in wanted], device) if wanted else ()
    found = dict(zip(wanted, encoded, strict=True))
    return {part: torch.cat([*known.get(part, ()), *([found[part]] if part in found else ())]) for part in parts}


def to_keep(learner: Learner, tensors: Mapping[str, Tensor], encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What is worth keeping: embeddings that cost something to make, and not too many numbers of them."""
    if not learner.only_embeds or sum(z.numel() for z in encoded.values()) > MOST_NUMBERS:
        return {}
    if all(_same(z.cpu(), tensors[part].flatten(1)) for part, z in encoded.items()):
        return {}
    return {PREFIX + EMBEDDINGS[part]: z for part, z in encoded.items()}


def split_kept(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The state in the artifact of an adapted model, and the embeddings kept with it by their own names."""
    state = {name: value for name, value in tensors.items() if not name.startswith(PREFIX)}
    kept = {name.removeprefix(PREFIX): value for name, value in tensors.items() if name.startswith(PREFIX)}
    return state, kept


def _same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a, b)

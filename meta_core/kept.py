"""Support sets kept for adapted models, and their embeddings: a change encodes only what is new."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from meta_core.artifact import Header, unpack
from meta_core.errors import NotFound
from meta_core.ids import support_key
from meta_core.learner import Learner
from meta_core.store import Store
from meta_core.together import encode_together
from meta_core.transfer import sent

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
    (encoded,) = encode_supports(learner, [tensors], device)
    return encoded


def encode_supports(
    learner: Learner, several: Sequence[Mapping[str, Tensor]], device: torch.device
) -> list[dict[str, Tensor]]:
    """The same for several support sets, in one pass over all."""
    known = [_known(learner, tensors, device) for tensors in several]
    new = [
        {part: tensors[part][len(beside.get(part, ())) :] for part in EMBEDDINGS if part in tensors}
        for tensors, beside in zip(several, known, strict=True)
    ]
    wanted = [x for parts in new for x in parts.values() if len(x)]
    found = iter(encode_together(learner, wanted, device) if wanted else ())
    encoded = [{part: next(found) for part, x in parts.items() if len(x)} for parts in new]
    return [
        {part: torch.cat([one[part] for one in (beside, z) if part in one]) for part in parts}
        for parts, beside, z in zip(new, known, encoded, strict=True)
    ]


def _known(learner: Learner, tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The embeddings that lie beside a support set, where they are the learner's."""
    if not learner.only_embeds:
        return {}
    return {
        part: sent(tensors[name], device) for part, name in EMBEDDINGS.items() if part in tensors and name in tensors
    }


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

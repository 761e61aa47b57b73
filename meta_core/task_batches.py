"""The meta-loss of several tasks: one after the other, or all in one pass."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.func import vmap

from meta_core.learner import Learner
from meta_core.mapped import over_tasks, room
from meta_core.types import Episode, Support


def shares_of_mean_loss(learner: Learner, episodes: Sequence[Episode], tasks: int) -> Iterator[Tensor]:
    """Scalars that sum to the part of these episodes in the mean meta-loss of `tasks`, to be differentiated in turn.

    One for all tasks where they are alike and one pass over them pays; else one for each, with memory for one.
    """
    if _pays(learner, episodes):
        yield losses_in_one_pass(learner, episodes).sum() / tasks
        return
    for episode in episodes:
        yield learner.meta_loss(episode) / tasks


def _pays(learner: Learner, episodes: Sequence[Episode]) -> bool:
    """Where tasks are alike and there is room, and none moves statistics that all share."""
    if len(episodes) < 2 or not learner.batches_tasks or len({_sizes(episode) for episode in episodes}) > 1:
        return False
    body = learner.backbone
    return body.normalisation != "running" and room(episodes[0].x.device, convolutions=not body.linear) is not None


def _sizes(episode: Episode) -> tuple[object, ...]:
    s = episode.support
    return s.x.shape, s.ways, episode.x.shape, None if s.unlabelled is None else s.unlabelled.shape


def losses_in_one_pass(learner: Learner, episodes: Sequence[Episode]) -> Tensor:
    """The meta-loss of each of several tasks of the same shapes, [T]."""
    ways = episodes[0].support.ways
    parts = ((e.support.x, e.support.y, e.x, e.y) for e in episodes)
    stacked = [torch.stack(part) for part in zip(*parts, strict=True)]

    def loss(x: Tensor, y: Tensor, queries: Tensor, truth: Tensor) -> Tensor:
        return learner.meta_loss(Episode(Support(x, y, ways), queries, truth))

    with over_tasks():
        losses: Tensor = vmap(loss)(*stacked)
    return losses

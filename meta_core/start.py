"""Base models from which a meta-training starts."""

from collections.abc import Callable

from meta_core.backbone import Backbone
from meta_core.base import EMBEDDING_MEAN, Base
from meta_core.episodes import ClassSource, TaskSource
from meta_core.errors import InvalidParameter, NotFound
from meta_core.inner_loop import BODY
from meta_core.learner import Learner

Bases = Callable[[str], Base]
"""Finds a base model by name, or name@version. Raises `NotFound`."""


def no_bases(reference: str) -> Base:
    """For recipes that start from none."""
    raise NotFound(f"base model {reference} cannot be looked up here")


def begin_from(start: Base, learner: Learner) -> None:
    """Give a learner the body of a base model, and the rest of it too where that is the same learner.

    Raises `InvalidParameter` when its weights are not of the same names and shapes.
    """
    whole = start.spec.learners.get(learner.task, ("", {}))[0] == learner.name
    learned = {name: value for name, value in start.weights.items() if name != EMBEDDING_MEAN}
    given = {name: value for name, value in learned.items() if whole or name.startswith(BODY)}
    own = {name for name in learner.state_dict() if whole or name.startswith(BODY)}
    try:
        if given.keys() != own:
            raise RuntimeError(f"they differ in {', '.join(sorted(given.keys() ^ own)[:3])}")
        learner.load_state_dict(given, strict=False)
    except RuntimeError as error:
        raise InvalidParameter(f"the weights of {start.reference} do not fit this recipe: {error}", "start") from None


def check_frozen(learner: Learner) -> None:
    """Raises `InvalidParameter` unless the learner can be trained on the embeddings of a body that stays as it is."""
    if not learner.only_embeds:
        raise InvalidParameter(f"learner {learner.name} changes the body, which cannot be frozen", "frozen")
    if all(name.startswith(BODY) for name, _ in learner.named_parameters()):
        raise InvalidParameter(f"learner {learner.name} has nothing to train on a frozen body", "frozen")


def embeddings(source: TaskSource, body: Backbone) -> TaskSource:
    """The same tasks, their examples encoded once. Raises `InvalidParameter` where they are drawn anew each time."""
    if not isinstance(source, ClassSource):
        raise InvalidParameter("a frozen body needs a dataset of labelled examples, to encode them once", "frozen")
    device = next(iter(body.parameters())).device
    encode = body.eval().inference()
    return source.encoded(lambda x: encode(x.to(device)).cpu())

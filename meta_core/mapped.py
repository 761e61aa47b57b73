"""Whether what is computed is mapped over tasks by `vmap`, under which values decide nothing."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_over_tasks: ContextVar[bool] = ContextVar("over_tasks", default=False)


def mapped_over_tasks() -> bool:
    """Whether what is computed here may be mapped over tasks by `vmap`."""
    return _over_tasks.get()


@contextlib.contextmanager
def over_tasks() -> Iterator[None]:
    """Inside, inner loops can be mapped over tasks by `vmap`."""
    token = _over_tasks.set(True)
    try:
        yield
    finally:
        _over_tasks.reset(token)

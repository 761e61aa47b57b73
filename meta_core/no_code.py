"""A process that never makes code or objects of what it reads, whatever a library would do with it."""

import sys
from typing import Any


def refuse_unpickling() -> None:
    """From now on, unpickling anything that names a class or function raises `RuntimeError`; there is no way back.

    Nothing here pickles; this holds for all that is installed too. Plain values, such as the pings between uvicorn's
    processes, still pass. A pickle that names nothing can call nothing.
    """
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "pickle.find_class":
        raise RuntimeError(f"refused to unpickle {'.'.join(map(str, arguments))}: this process takes no code from data")

"""What routes are given: the parts of the running application."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.aliases import Aliases
from app.authentication import KeyRing
from app.batching import Batcher
from app.cache import ModelCache
from app.orders import Orders
from app.quotas import Quotas
from app.rates import Rates
from meta_core.engine import Engine
from meta_core.store import Store


@dataclass(frozen=True)
class Parts:
    """All that the API is made of."""

    store: Store
    ring: KeyRing
    quotas: Quotas
    rates: Rates
    orders: Orders
    engine: Engine
    cache: ModelCache
    aliases: Aliases
    batcher: Batcher
    wait_seconds: float


async def parts(request: Request) -> Parts:
    """The parts of the application that serves this request."""
    found: Parts = request.app.state.parts
    return found


PartsDep = Annotated[Parts, Depends(parts)]

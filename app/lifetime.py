"""What runs beside the requests, for as long as the API does."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI

from app.deps import Parts
from app.ending import told_of_the_end

log = logging.getLogger("shotput.api")


def lifetime(parts: Parts) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Batches are answered, and what other processes change is heard, from before the first request to the end."""

    def changed(what: str) -> None:
        parts.cache.evict(what)
        parts.aliases.forget(what)

    def missed() -> None:
        parts.cache.clear()
        parts.aliases.clear()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        log.warning("access: %s", await asyncio.to_thread(parts.ring.served))
        await asyncio.to_thread(parts.engine.warm)
        tasks = [
            asyncio.create_task(parts.batcher.run()),
            asyncio.create_task(parts.orders.listen(changed, missed)),
        ]
        with told_of_the_end(parts.orders.end):
            yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    return lifespan

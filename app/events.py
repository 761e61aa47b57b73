"""Server-sent events: how an order gets on, as it happens."""

import json
from collections.abc import AsyncIterator
from typing import Any

from app.orders import UNFINISHED, Record
from app.views import job_view

ENDED = "end"
"""Id of the last event; whoever comes back with it has seen all."""
RETRY = "retry: 2000\n\n"
"""Milliseconds after which a client that lost the connection comes back."""


async def events(records: AsyncIterator[Record | None], seen: int) -> AsyncIterator[str]:
    """Events `progress`, `validation` (a point of the curve each; the first `seen` are left out) and at last `end`.

    The id of an event is the number of points sent so far: with it as `Last-Event-ID` any process can go on.
    """
    yield RETRY
    before: dict[str, Any] | None = None
    async for record in records:
        if record is None:
            yield ": nothing new\n\n"
            continue
        curve = record.get("curve") or (record.get("progress") or {}).get("curve") or []
        for number, (step, loss, score) in enumerate(curve[seen:], seen + 1):
            yield event("validation", str(number), {"step": step, "loss": loss, "validation": score})
        seen = max(seen, len(curve))
        if record["status"] not in UNFINISHED:
            yield event("end", ENDED, job_view(record))
            return
        progress = {key: value for key, value in (record.get("progress") or {}).items() if key != "curve"}
        now = {"status": record["status"], **progress}
        if now != before:
            yield event("progress", str(seen), now)
        before = now


def event(name: str, id: str, data: dict[str, Any]) -> str:
    """One event as text."""
    return f"event: {name}\nid: {id}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"

"""The durable log of what happened."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from master import model
from master.db import Session
from master.questions import EventList


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """An event that is not yet in the log. `details` must hold no secret."""

    type: str
    node_id: int | None = None
    proxy_id: int | None = None
    location_id: int | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])


async def record_events(session: Session, events: Iterable[Event]) -> None:
    """Write these; the last thing in a transaction, since it holds the log to the transaction's end."""
    rows = [asdict(event) for event in events]
    if rows:
        await session.execute("events.lock")
        await session.execute("events.insert", rows=rows)


async def page(session: Session, asked: EventList) -> list[model.Event]:
    """Those that match, oldest first."""
    return [model.event(row) for row in await session.rows("events.select_page", **asked.model_dump())]

"""Write and read the durable event log."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from structlog.contextvars import get_contextvars

from master.db.database import Row, Session
from master.domain.events.schemas import SUBJECTS, EventFilter, EventList, EventType, Loss, event_from_row
from master.domain.events.schemas import Event as LoggedEvent

FORGET_BATCH = 5_000


@dataclass(frozen=True, kw_only=True, slots=True)
class NewEvent:
    """An event to be written. `details` must hold no secret."""

    type: EventType
    node_id: int | None = None
    proxy_id: int | None = None
    stack_id: int | None = None
    location_id: int | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])


async def record_events(session: Session, events: Iterable[NewEvent]) -> None:
    """Write events as the last statement of a transaction, since this locks the log until the transaction ends.

    Each event carries the id of the request that is being served, if there is one.
    """
    request = {name: value for name, value in get_contextvars().items() if name == "request_id"}
    rows = [
        {"type": event.type, "details": event.details | request, **{name: getattr(event, name) for name in SUBJECTS}}
        for event in events
    ]
    if rows:
        await session.execute("events.lock")
        await session.execute("events.insert", rows=rows)


async def page(session: Session, query: EventList) -> list[LoggedEvent]:
    """Return a page of the events that match, oldest first."""
    return await matching(session, query.choice, query.after or 0, query.limit)


async def matching(session: Session, filter_: EventFilter, after: int, limit: int) -> list[LoggedEvent]:
    """Return events after this id that the filter matches, oldest first."""
    subjects = {name: filter_.subjects.get(name) for name in SUBJECTS}
    rows = await session.rows("events.select_page", **subjects, types=sorted(filter_.types), after=after, limit=limit)
    return [event_from_row(row) for row in rows]


async def events_after(session: Session, after: int, limit: int) -> Sequence[LoggedEvent]:
    """Return all events after this id, oldest first."""
    return [event_from_row(row) for row in await session.rows("events.follow", after=after, limit=limit)]


async def bounds(session: Session) -> Row:
    """Return `forgotten`, the id of the last deleted event, and `last`, the id of the last event."""
    return await session.row("events.ends") or {"forgotten": 0, "last": 0}


def loss_after(id_: int, bounds_: Row) -> Loss | None:
    """Return why events after this id are lost: they were deleted, or the database was rolled back before it."""
    if 0 < id_ < bounds_["forgotten"]:
        return "forgotten"
    return "ahead" if id_ > bounds_["last"] else None


async def forget(session: Session, kept: timedelta) -> None:
    """Delete events older than `kept`, in batches."""
    while await session.execute("events.forget", kept=kept, max_rows=FORGET_BATCH):
        pass

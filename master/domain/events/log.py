"""The durable log of what happened."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from structlog.contextvars import get_contextvars

from master.db.database import Row, Session
from master.domain.events.schemas import SUBJECTS, EventFilter, EventList, EventType, Loss, event_from_row
from master.domain.events.schemas import Event as LoggedEvent

FORGET_AT_ONCE = 5_000


@dataclass(frozen=True, kw_only=True, slots=True)
class NewEvent:
    """An event that is not yet in the log. `details` must hold no secret."""

    type: EventType
    node_id: int | None = None
    proxy_id: int | None = None
    stack_id: int | None = None
    location_id: int | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])


async def record_events(session: Session, events: Iterable[NewEvent]) -> None:
    """Write these; the last thing in a transaction, since it holds the log to the transaction's end.

    Each carries the id of the request that is being served, if one is.
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
    """Those that match, oldest first."""
    return await chosen(session, query.choice, query.after or 0, query.limit)


async def chosen(session: Session, choice: EventFilter, after: int, limit: int) -> list[LoggedEvent]:
    """Those of this choice after this id, oldest first."""
    subjects = {name: choice.subjects.get(name) for name in SUBJECTS}
    rows = await session.rows("events.select_page", **subjects, types=sorted(choice.types), after=after, limit=limit)
    return [event_from_row(row) for row in rows]


async def following(session: Session, after: int, limit: int) -> Sequence[LoggedEvent]:
    """Those after this id, of every kind, oldest first."""
    return [event_from_row(row) for row in await session.rows("events.follow", after=after, limit=limit)]


async def ends(session: Session) -> Row:
    """`forgotten`, the last id that is no more, and `last`, the last id that there is."""
    return await session.row("events.ends") or {"forgotten": 0, "last": 0}


def loss(after: int, ends: Row) -> Loss | None:
    """Why events after this one cannot be told any more: they are forgotten, or the database went back behind it."""
    if 0 < after < ends["forgotten"]:
        return "forgotten"
    return "ahead" if after > ends["last"] else None


async def forget(session: Session, kept: timedelta) -> None:
    """Let go of what is older, a batch at a time."""
    while await session.execute("events.forget", kept=kept, most=FORGET_AT_ONCE):
        pass

"""Write and read the durable event log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from master.actors import cause
from master.db.database import Row, Session
from master.domain.events.schemas import FILTERED, SUBJECTS, EventFilter, EventList, EventType, Loss, event_from_row
from master.domain.events.schemas import Event as LoggedEvent
from master.domain.events.touches import VISIBLE, Touched, TouchedKind, payload_of, visible
from shared.proxies import MAX_BIGINT

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


@dataclass(frozen=True, kw_only=True, slots=True)
class EventBatch:
    """One event for each of many proxies, which a statement of their package makes of these columns."""

    statement: str
    columns: Mapping[str, object] = field(repr=False)


async def record_events(session: Session, events: Iterable[NewEvent | EventBatch]) -> None:
    """Write events as the last statements of a transaction, since this locks the log until the transaction ends.

    Each event carries the actor of this unit of work, and the id of the request on whose behalf it acts.
    """
    now, steps = cause(), in_steps(events)
    if steps:
        await session.execute("events.lock")
    for step in steps:
        if isinstance(step, EventBatch):
            await session.execute(step.statement, **step.columns, actor=now.actor, request_id=now.request_id)
        else:
            rows = [
                {"type": one.type, "details": one.details, **{name: getattr(one, name) for name in SUBJECTS}}
                for one in step
            ]
            await session.execute("events.insert", rows=rows, actor=now.actor, request_id=now.request_id)


def in_steps(events: Iterable[NewEvent | EventBatch]) -> list[list[NewEvent] | EventBatch]:
    """Collect single events that follow each other, to be written by one statement."""
    steps: list[list[NewEvent] | EventBatch] = []
    for event in events:
        if isinstance(event, EventBatch):
            steps.append(event)
        elif steps and isinstance(steps[-1], list):
            steps[-1].append(event)
        else:
            steps.append([event])
    return steps


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A part of the log: the first or, with `newest_first`, the last events of it. The ids are exclusive."""

    after: int = 0
    before: int = MAX_BIGINT
    since: datetime | None = None
    until: datetime | None = None
    newest_first: bool = False


async def page(session: Session, query: EventList) -> list[LoggedEvent]:
    """Return a page of the events that match."""
    span = Span(
        after=query.after or 0,
        before=MAX_BIGINT if query.before is None else query.before,
        since=query.since,
        until=query.until,
        newest_first=query.order == "desc",
    )
    return await select_matching(session, query.choice, span, query.limit)


async def matching(session: Session, filter_: EventFilter, after: int, limit: int) -> list[LoggedEvent]:
    """Return events after this id that the filter matches, oldest first."""
    return await select_matching(session, filter_, Span(after=after), limit)


async def select_matching(session: Session, filter_: EventFilter, span: Span, limit: int) -> list[LoggedEvent]:
    """Return at most `limit` events of the span that the filter matches, in its order."""
    rows = await session.rows(
        "events.select_page",
        **asdict(span),
        **{name: filter_.members.get(name) for name in FILTERED},
        types=filter_.exact_types,
        along=filter_.along,
        limit=limit,
    )
    return [event_from_row(row) for row in rows]


async def events_after(session: Session, after: int, limit: int) -> Sequence[LoggedEvent]:
    """Return all events after this id, oldest first."""
    return [event_from_row(row) for row in await session.rows("events.follow", after=after, limit=limit)]


async def touch(session: Session, kind: TouchedKind, ids: Iterable[int]) -> None:
    """Have event streams report, at the commit, that these resources changed. Nothing is stored."""
    await session.execute("events.touch", payload=payload_of(kind, ids))


async def visible_touches(session: Session, touched: Touched) -> Touched:
    """Return what this session may see of these touches."""
    found: dict[TouchedKind, list[int]] = {}
    for row in await session.rows("events.select_visible", **{kind: [*(touched.get(kind) or ())] for kind in VISIBLE}):
        found.setdefault(row["kind"], []).append(row["id"])
    return visible(touched, found)


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

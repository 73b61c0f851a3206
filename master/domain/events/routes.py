"""/events: the log as JSON pages, or as a stream of server-sent events."""

import json
import random
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Annotated

import structlog
from litestar import Response, get
from litestar.params import HeaderParameter
from litestar.response import Stream

from master.api.dependencies import Injected
from master.api.encoding import streamed
from master.api.names import named
from master.api.openapi.route_docs import documented
from master.api.requests.reading import read_last_event_id
from master.api.responses import respond
from master.db.database import Database
from master.domain.events import log as events
from master.domain.events.schemas import FOLLOWING, EventList, EventPage
from master.domain.events.stream import EventStream, StreamBatch, StreamStart
from master.errors import DatabaseError, Invalid
from master.schemas.media_types import MediaType
from master.schemas.timestamps import rfc_3339

log = structlog.get_logger()

Accept = Annotated[str, HeaderParameter(name="accept")]
LastEventId = Annotated[str, HeaderParameter(name="last-event-id")]

RETRY_MS = (1_000, 5_000)
"""Drawn for each reader, so that not all of them return at once."""
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The second keeps nginx from holding back events."""


@get(
    "/events",
    summary="List or follow events",
    opt=documented(answers={200: "A page of events, or the stream."}, streams={MediaType.EVENTS: None}),
)
async def list_events(
    database: Injected[Database],
    event_stream: Injected[EventStream],
    parameters: Injected[EventList],
    accept: Accept = "",
    last_event_id: LastEventId = "",
) -> Response[EventPage] | Stream:
    """List events, oldest first unless `order=desc`. You may keep the id of any event and pass it as `after` later: no
    event is skipped.

    With `Accept: text/event-stream` the answer is a stream of server-sent events (id, event: the type, data: the event
    as JSON). It continues after `Last-Event-ID` or `after`; without them it begins with the next event. A comment comes
    at least every 15 s. `event: reset` means that events were lost, because they are older than the retention or the
    database was restored: read the resources again, then follow on.

    Two messages have no id and are not stored. `event: hello` comes first, with the id of the newest event (`last`) and
    the time. `event: touched` comes on streams without a filter, at most once a second for a `kind` (`nodes`, `proxies`
    or `stacks`), and names resources (`ids`) whose state or load a report or a check changed without an event; `ids` is
    null when there are more than 500. Touches before the `hello` are not repeated.
    """
    query = await named(database, parameters)
    if MediaType.EVENTS in accept:
        check_followed(query)
        begun = await event_stream.start(read_last_event_id(last_event_id, query.after))
        part = database if database.is_narrowed else None
        return streamed(frames(event_stream, query, begun, part), MediaType.EVENTS, HEADERS)
    async with database.session() as session:
        items = await events.page(session, query)
        reset = events.loss_after(
            query.after or 0, await events.bounds(session)
        )  # last: events may be deleted meanwhile
    return respond(EventPage(items=items, next=items[-1].id if len(items) == query.limit else None, reset=reset))


def check_followed(query: EventList) -> None:
    """Raise Invalid for parameters that a stream does not have."""
    names = [name for name in FOLLOWING if getattr(query, name) not in (None, "asc")]
    if names:
        detail = "a stream goes on for ever, oldest first: this is for pages"
        raise Invalid(f"{names[0]}: {detail}", {"errors": [{"parameter": name, "detail": detail} for name in names]})


async def frames(
    stream: EventStream, query: EventList, begun: StreamStart, part: Database | None
) -> AsyncGenerator[bytes]:
    """Write the stream. It ends when the database fails, and its reader connects again."""
    yield b"retry: %d\n\n" % random.randint(*RETRY_MS)  # noqa: S311 (no secret)
    yield first_frames(begun, datetime.now(UTC))
    last = begun.position
    try:
        async for batch in stream.follow(query.choice, begun, part):
            yield frame(batch, last)
            last = batch.position
    except DatabaseError as error:
        log.warning("database.away", reason=error.reason)


def first_frames(begun: StreamStart, now: datetime) -> bytes:
    """Write the greeting and where the reader starts, which becomes its Last-Event-ID."""
    hello = json.dumps({"last": begun.last, "time": rfc_3339(now)})
    start = f":\nid: {begun.position}\n\n"
    if begun.reset is not None:
        data = json.dumps({"reason": begun.reset, "after": begun.position})
        start = f"id: {begun.position}\nevent: reset\ndata: {data}\n\n"
    return f"event: hello\ndata: {hello}\n\n{start}".encode()


def frame(batch: StreamBatch, last: int) -> bytes:
    """Write a batch. One without events moves the reader's Last-Event-ID, too."""
    if batch.events or batch.touched:
        return b"".join([batch.touched, *(one.frame for one in batch.events)])
    return b":\n\n" if batch.position == last else b":\nid: %d\n\n" % batch.position

"""/events: the log as JSON pages, or as a stream of server-sent events."""

import json
import random
from collections.abc import AsyncGenerator
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
from master.domain.events.schemas import EventList, EventPage
from master.domain.events.stream import EventStream, StreamBatch
from master.errors import DatabaseError
from master.schemas.media_types import MediaType

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
    """List events, oldest first. You may keep the id of any event and pass it as `after` later: no event is skipped.

    With `Accept: text/event-stream` the answer is a stream of server-sent events (id, event: the type, data: the event
    as JSON). It continues after `Last-Event-ID` or `after`; without them it begins with the next event. A comment comes
    at least every 15 s. `event: reset` means that events were lost, because they are older than the retention or the
    database was restored: read the resources again, then follow on.
    """
    query = await named(database, parameters)
    if MediaType.EVENTS in accept:
        begun = await event_stream.start(read_last_event_id(last_event_id, query.after))
        return streamed(frames(event_stream, query, begun), MediaType.EVENTS, HEADERS)
    async with database.session() as session:
        items = await events.page(session, query)
        reset = events.loss_after(
            query.after or 0, await events.bounds(session)
        )  # last: events may be deleted meanwhile
    return respond(EventPage(items=items, next=items[-1].id if len(items) == query.limit else None, reset=reset))


async def frames(stream: EventStream, query: EventList, begun: StreamBatch) -> AsyncGenerator[bytes]:
    """Write the stream. It ends when the database fails, and its reader connects again."""
    yield b"retry: %d\n\n" % random.randint(*RETRY_MS)  # noqa: S311 (no secret)
    yield frame(begun, None)
    last = begun.position
    try:
        async for batch in stream.follow(query.choice, last):
            yield frame(batch, last)
            last = batch.position
    except DatabaseError as error:
        log.warning("database.away", reason=error.reason)


def frame(batch: StreamBatch, last: int | None) -> bytes:
    """Write a batch. One without events moves the reader's Last-Event-ID, too."""
    text = b"".join(one.frame for one in batch.events)
    if batch.reset is not None:
        data = json.dumps({"reason": batch.reset, "after": batch.position})
        text = f"id: {batch.position}\nevent: reset\ndata: {data}\n\n".encode()
    elif not batch.events:
        text = b":\n\n" if batch.position == last else b":\nid: %d\n\n" % batch.position
    return text

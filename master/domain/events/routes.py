"""/events: the log as JSON pages, or as a stream of server-sent events."""

import json
import random
from collections.abc import AsyncGenerator
from typing import Any

import structlog
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.response import Stream

from master.api.dependencies import Wiring
from master.api.encoding import streamed
from master.api.names import named
from master.api.openapi.route_docs import LAST_EVENT_ID, documented
from master.api.requests.reading import ApiRequest, read_last_event_id, read_query
from master.api.responses import resource_response
from master.domain.events import log as events
from master.domain.events.schemas import EventList, EventPage
from master.domain.events.stream import EventStream, StreamBatch
from master.errors import DatabaseError
from master.schemas.media_types import MediaType

log = structlog.get_logger()

RETRY_MS = (1_000, 5_000)
"""Drawn for each reader, so that not all come back at once."""
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The second keeps nginx from holding back what is to be told."""


@get(
    "/events",
    summary="List events, or follow them",
    opt=documented(
        query=EventList, answers={200: EventPage}, streams={MediaType.EVENTS: None}, headers=(LAST_EVENT_ID,)
    ),
)
async def list_events(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any] | Stream:
    """What happened, oldest first. An event's id may be remembered and given as `after`: none is skipped.

    With `Accept: text/event-stream` the answer is a stream of server-sent events (id, event: the type, data: the event
    as JSON) that goes on where `Last-Event-ID` or `after` says, or begins now. A comment comes at least every 15 s.
    `event: reset` says that what was missed cannot be told, since it is older than what is kept, or since the
    database went back: read again what you know, then follow on.
    """
    asked = read_query(request, EventList)
    asked = await named(wiring.database, asked)
    if MediaType.EVENTS in request.headers.get("accept", ""):
        after = read_last_event_id(request.headers.get("last-event-id"), asked.after)
        begun = await wiring.feed.start(after)
        return streamed(frames(wiring.feed, asked, begun), MediaType.EVENTS, HEADERS)
    async with wiring.database.session() as session:
        items = await events.page(session, asked)
        reset = events.loss_after(asked.after or 0, await events.bounds(session))  # last: forgetting goes on meanwhile
    return resource_response(
        EventPage(items=items, next=items[-1].id if len(items) == asked.limit else None, reset=reset)
    )


async def frames(feed: EventStream, asked: EventList, begun: StreamBatch) -> AsyncGenerator[bytes]:
    """The stream; it ends when the database is away, and its reader comes back."""
    yield b"retry: %d\n\n" % random.randint(*RETRY_MS)  # noqa: S311 (no secret)
    yield written(begun, None)
    last = begun.position
    try:
        async for portion in feed.follow(asked.choice, last):
            yield written(portion, last)
            last = portion.position
    except DatabaseError as error:
        log.warning("database.away", reason=error.reason)


def written(portion: StreamBatch, last: int | None) -> bytes:
    """What a portion is on the wire. One without events moves the reader's Last-Event-ID on all the same."""
    text = b"".join(one.frame for one in portion.events)
    if portion.reset is not None:
        data = json.dumps({"reason": portion.reset, "after": portion.position})
        text = f"id: {portion.position}\nevent: reset\ndata: {data}\n\n".encode()
    elif not portion.events:
        text = b":\n\n" if portion.position == last else b":\nid: %d\n\n" % portion.position
    return text

"""The event stream: the log as it grows, read once for all readers.

The latest events are kept in memory, and each reader is a position among them. A reader that is slow or starts further
back reads the database at its own pace until it has caught up, and nothing is buffered for it.
"""

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import structlog

from master.db.background import keep_on
from master.db.database import Database
from master.domain.events import log as events
from master.domain.events.schemas import Event, EventFilter, Loss
from master.domain.events.touch_feed import TouchFeed
from master.domain.events.touches import frames
from shared.tasks import wait_for_event

log = structlog.get_logger()

PAGE = 500
KEPT = 4_000
"""Events in memory: some 6 MB."""
POLL_S = 5.0
"""Finds events whose notification was lost with the LISTEN connection."""
HEARTBEAT_S = 15.0
PART_EVERY_S = 0.25
"""Time between two reads for a reader of its own part, since none of them serves another reader."""
IDLE_S = 60.0
"""After so long without a reader the log is not followed."""


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """An event and its frame, which is encoded once for all readers."""

    event: Event
    frame: bytes


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """All events for a reader up to `position`; an empty batch is a heartbeat.

    `touched` are frames of what changed without an event.
    """

    events: tuple[StreamedEvent, ...]
    position: int
    touched: bytes = b""


@dataclass(frozen=True, slots=True)
class StreamStart:
    """Where a reader starts: after the event `position`, while `last` is the newest one.

    With `reset`, the events up to `position` that the reader has not got are lost. `touches` is its position among the
    touches.
    """

    position: int
    last: int
    touches: int
    reset: Loss | None = None


def streamed_event(event: Event) -> StreamedEvent:
    """Encode an event as a server-sent event (WHATWG HTML, 9.2.5)."""
    text = f"id: {event.id}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"
    return StreamedEvent(event, text.encode())


class EventStream:
    """Follow the log with one query for each change, however many readers there are, and none without readers."""

    def __init__(self, database: Database, *, heartbeat_s: float = HEARTBEAT_S, kept: int = KEPT) -> None:
        """`kept` is the number of events in memory."""
        self._database, self._heartbeat_s, self._kept = database, heartbeat_s, kept
        self._recent: list[StreamedEvent] = []
        self._floor = 0
        """All events after this id, up to the tip, are in `_recent`."""
        self._tip: int | None = None
        """None while the log is not followed."""
        self._seen = 0
        self._age = 0
        """Grows when the database was rolled back, which ends every stream."""
        self._read_at = -IDLE_S
        self._wake, self._news = asyncio.Event(), asyncio.Event()
        self._is_closed = False
        self._is_sure = False
        """Whether the last read succeeded; after a failed one the database may have been rolled back."""
        self.touches = TouchFeed(database, self._announce)

    def wake(self) -> None:
        """Read the log soon."""
        self._wake.set()

    def close(self) -> None:
        """End every stream."""
        self._is_closed = True
        self._announce()

    async def run(self) -> None:
        """Follow the log while there are readers, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.touches.run())
            await keep_on(self._turn, "event stream")

    async def _turn(self) -> None:
        if time.monotonic() - self._read_at > IDLE_S:
            self._tip, self._recent = None, []
            await self._wake.wait()
            self._wake.clear()
            return
        was_sure, self._is_sure = self._is_sure, False
        if self._tip is None or not was_sure:
            await self._begin()
        await self._read_on()
        self._is_sure = True
        await wait_for_event(self._wake, POLL_S)
        self._wake.clear()

    async def _begin(self) -> None:
        """Start at the end of the log, or continue if the database was away and was not rolled back."""
        async with self._database.session() as session:
            last = (await events.bounds(session))["last"]
        if last < self._seen:
            log.error("events.rolled_back", last=last, seen=self._seen)
            self._age += 1
        elif self._tip is not None:
            return
        self._recent, self._floor, self._tip, self._seen = [], last, last, last
        self._announce()

    async def _read_on(self) -> None:
        page: Sequence[Event] = ()
        while not page or len(page) == PAGE:
            async with self._database.session() as session:
                page = await events.events_after(session, self._seen, PAGE)
            if not page:
                return
            self._keep([streamed_event(event) for event in page], page[-1].id)

    def _keep(self, page: list[StreamedEvent], tip: int) -> None:
        self._recent += page
        if len(self._recent) > self._kept + PAGE:
            gone = len(self._recent) - self._kept
            self._floor = self._recent[gone - 1].event.id
            del self._recent[:gone]
        self._tip = self._seen = tip
        self._announce()

    def _announce(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def follow(
        self, filter_: EventFilter, start: StreamStart, part: Database | None = None
    ) -> AsyncGenerator[StreamBatch]:
        """Yield the matching events after the start as they come, until `close`. Raises DatabaseError.

        A reader without a filter also gets the touches. One whose token has a filter gets what is in its `part` of the
        database, which is read for it alone.
        """
        age, sent_at = self._age, time.monotonic()
        position, touches, read_at = start.position, start.touches, 0.0
        while not self._is_closed and age == self._age:
            self._note_reader()
            news = self._news
            if filter_.is_open and touches < self.touches.position:
                until = self.touches.position
                touched, touches = await self._touched(touches, part), until
                if touched:
                    yield StreamBatch((), position, touched)
            if part is not None:
                await asyncio.sleep(read_at + PART_EVERY_S - time.monotonic())
                read_at = time.monotonic()
            found = await self._after(position, filter_, part)
            if found.events or time.monotonic() - sent_at >= self._heartbeat_s:
                position, sent_at = found.position, time.monotonic()
                yield found
            elif found.position > position:
                position = found.position
            else:
                await wait_for_event(news, self._heartbeat_s - (time.monotonic() - sent_at))

    def _note_reader(self) -> None:
        """Keep the log followed, since there is a reader."""
        self._read_at = time.monotonic()
        self.touches.note_reader()
        if self._tip is None:
            self._wake.set()

    async def start(self, after: int | None) -> StreamStart:
        """Return where a reader starts that has read up to `after`, or starts now; a reset when events are lost.

        Raises DatabaseError.
        """
        self._note_reader()
        touches, tip = self.touches.position, self._tip
        if tip is not None and (after is None or self._floor <= after <= tip):
            return StreamStart(tip if after is None else after, tip, touches)
        async with self._database.session() as session:
            ends = await events.bounds(session)
        last = ends["last"]
        if after is None:
            return StreamStart(last, last, touches)
        match events.loss_after(after, ends):
            case "forgotten":
                return StreamStart(ends["forgotten"], last, touches, "forgotten")
            case "ahead":
                return StreamStart(last, last, touches, "ahead")
            case None:
                return StreamStart(after, last, touches)

    async def _touched(self, position: int, part: Database | None) -> bytes:
        """Return the frames of the touches after this position."""
        if part is None:
            return self.touches.after(position)
        touched = self.touches.touched_after(position)
        async with part.session() as session:
            return frames(await events.visible_touches(session, touched))

    async def _after(self, position: int, filter_: EventFilter, part: Database | None) -> StreamBatch:
        """Return the next events for a reader: from memory if they are there, else from the database."""
        tip = self._tip
        if part is not None and tip is not None and position >= tip:
            return StreamBatch((), position)
        if part is None and tip is not None and position >= self._floor:
            start = bisect_right(self._recent, position, key=lambda one: one.event.id)
            near = self._recent[start : start + PAGE]
            end = near[-1].event.id if near else position
            return StreamBatch(tuple(one for one in near if one.event in filter_), end)
        async with (part or self._database).session() as session:
            far = await events.matching(session, filter_, position, PAGE)
        end = far[-1].id if far else position
        if len(far) < PAGE and tip is not None:
            end = max(end, tip)  # all events up to the tip were written before the query
        return StreamBatch(tuple(streamed_event(event) for event in far), end)

"""The log as it grows, read once for all who follow it.

The latest events are kept in memory, and a reader is no more than a place among them: whoever is slow, or begins
further back, reads the database at his own pace until he has caught up, and keeps nothing for it meanwhile.
"""

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import structlog

from master.background import keep_on
from master.db.database import Database
from master.domain.events import log as events
from master.domain.events.schemas import Event, EventFilter, Loss
from shared.tasks import wait_for_event

log = structlog.get_logger()

PAGE = 500
KEPT = 4_000
"""Events in memory: some 6 MB."""
POLL_S = 5.0
"""What a lost LISTEN connection fails to tell is found by then."""
HEARTBEAT_S = 15.0
IDLE_S = 60.0
"""When nobody has read for so long, the log is no longer followed."""


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """An event and its form on the wire, which is made once for all readers."""

    event: Event
    frame: bytes


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """What a reader gets at once: everything asked for up to `position`; nothing is a sign of life.

    `reset`: what lies between his place and `position` cannot be told.
    """

    events: tuple[StreamedEvent, ...]
    position: int
    reset: Loss | None = None


def streamed_event(event: Event) -> StreamedEvent:
    """In the format of server-sent events (WHATWG HTML, 9.2.5)."""
    text = f"id: {event.id}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"
    return StreamedEvent(event, text.encode())


class EventStream:
    """Costs one query for each news, however many read, and none while nobody does."""

    def __init__(self, database: Database, *, heartbeat_s: float = HEARTBEAT_S, kept: int = KEPT) -> None:
        """`kept`: how many events stay in memory."""
        self._database, self._heartbeat_s, self._kept = database, heartbeat_s, kept
        self._recent: list[StreamedEvent] = []
        self._floor = 0
        """All events above it, up to the tip, are in `recent`."""
        self._tip: int | None = None
        """None while the log is not followed."""
        self._seen = 0
        self._age = 0
        """Grows when the database went back, which ends every reading."""
        self._asked_at = -IDLE_S
        self._wake, self._news = asyncio.Event(), asyncio.Event()
        self._is_closed = False
        self._is_sure = False
        """Whether the last look found the database; after a failed one it may have gone back."""

    def wake(self) -> None:
        """There may be news."""
        self._wake.set()

    def close(self) -> None:
        """End every reading."""
        self._is_closed = True
        self._announce()

    async def run(self) -> None:
        """Follow the log while somebody reads, until cancelled."""
        await keep_on(self._turn, "feed")

    async def _turn(self) -> None:
        if time.monotonic() - self._asked_at > IDLE_S:
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
        """At the log's end; or go on, when the database was away and is still the same."""
        async with self._database.session() as session:
            last = (await events.ends(session))["last"]
        if last < self._seen:
            log.error("events.went_back", last=last, seen=self._seen)
            self._age += 1
        elif self._tip is not None:
            return
        self._recent, self._floor, self._tip, self._seen = [], last, last, last
        self._announce()

    async def _read_on(self) -> None:
        page: Sequence[Event] = ()
        while not page or len(page) == PAGE:
            async with self._database.session() as session:
                page = await events.following(session, self._seen, PAGE)
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

    async def follow(self, choice: EventFilter, position: int) -> AsyncGenerator[StreamBatch]:
        """What is asked for after this place, as it comes. Ends with `close`; raises DatabaseError."""
        age, told_at = self._age, time.monotonic()
        while not self._is_closed and age == self._age:
            self._ask()
            news = self._news
            found = await self._after(position, choice)
            if found.events or time.monotonic() - told_at >= self._heartbeat_s:
                position, told_at = found.position, time.monotonic()
                yield found
            elif found.position > position:
                position = found.position
            else:
                await wait_for_event(news, self._heartbeat_s - (time.monotonic() - told_at))

    def _ask(self) -> None:
        """Have the log followed."""
        self._asked_at = time.monotonic()
        if self._tip is None:
            self._wake.set()

    async def start(self, after: int | None) -> StreamBatch:
        """Where a reader begins who knows this event, or wants what comes; a reset when some is lost to him.

        Raises DatabaseError.
        """
        self._ask()
        if self._tip is not None and (after is None or self._floor <= after <= self._tip):
            return StreamBatch((), self._tip if after is None else after)
        async with self._database.session() as session:
            ends = await events.ends(session)
        if after is None:
            return StreamBatch((), ends["last"])
        match events.loss(after, ends):
            case "forgotten":
                return StreamBatch((), ends["forgotten"], "forgotten")
            case "ahead":
                return StreamBatch((), ends["last"], "ahead")
            case None:
                return StreamBatch((), after)

    async def _after(self, position: int, choice: EventFilter) -> StreamBatch:
        """What comes next for a reader at this place: out of memory when he is near, out of the database else."""
        tip = self._tip
        if tip is not None and position >= self._floor:
            start = bisect_right(self._recent, position, key=lambda one: one.event.id)
            near = self._recent[start : start + PAGE]
            end = near[-1].event.id if near else position
            return StreamBatch(tuple(one for one in near if one.event in choice), end)
        async with self._database.session() as session:
            far = await events.chosen(session, choice, position, PAGE)
        end = far[-1].id if far else position
        if len(far) < PAGE and tip is not None:
            end = max(end, tip)  # all up to the tip was there before the question was put
        return StreamBatch(tuple(streamed_event(event) for event in far), end)

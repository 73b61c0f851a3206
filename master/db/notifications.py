"""Listen to PostgreSQL's notifications of changes and reports, and let requests wait for them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from master.db.background import keep_on
from master.db.database import Database
from shared.tasks import wait_for_event

CHANGED, REPORTED, HAPPENED, TOUCHED = "maybe_changed", "maybe_reported", "maybe_events", "maybe_touched"
POLL_S = 1.0


class Notifications:
    """One LISTEN connection of this master for all waiting requests. Polling finds what it misses while it is cut."""

    def __init__(
        self,
        database: Database,
        changed: Callable[[], None],
        happened: Callable[[], None],
        touched: Callable[[str], None],
    ) -> None:
        """`changed` is called when a node's revision grew, `happened` when the event log did.

        `touched` is called with the payload when something that is shown changed without an event; an empty payload
        means that some of them were lost.
        """
        self._database, self._changed, self._happened, self._touched = database, changed, happened, touched
        self._waiting: set[asyncio.Event] = set()

    async def run(self) -> None:
        """Listen until cancelled."""
        await keep_on(self._listen, "notifications")

    async def _listen(self) -> None:
        """Listen until the connection is lost."""
        lost = asyncio.Event()
        close = await self._database.listener((CHANGED, REPORTED, HAPPENED, TOUCHED), self._heard, lost.set)
        try:
            self._heard(CHANGED, "")
            self._heard(REPORTED, "")
            self._heard(HAPPENED, "")
            await lost.wait()
        finally:
            await close()

    async def until(self, check: Callable[[], Awaitable[bool]], timeout_s: float) -> bool:
        """Return whether `check` became true in time. It is called after each report, and at least every second."""
        limit = time.monotonic() + timeout_s
        with self.reports() as woken:
            while not await check():
                left = limit - time.monotonic()
                if left <= 0:
                    return False
                await wait_for_event(woken, min(POLL_S, left))
                woken.clear()
        return True

    @contextmanager
    def reports(self) -> Generator[asyncio.Event]:
        """Yield an event that is set whenever a node has reported something new."""
        heard = asyncio.Event()
        self._waiting.add(heard)
        try:
            yield heard
        finally:
            self._waiting.discard(heard)

    def _heard(self, channel: str, payload: str) -> None:
        if channel == CHANGED:
            self._changed()
        elif channel == HAPPENED:
            self._happened()
        else:
            self._touched(payload)
        if channel == REPORTED:
            for event in self._waiting:
                event.set()

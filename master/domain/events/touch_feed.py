"""The touches of the last minute, collected once for all readers of the event stream.

Masters notify each other of what reports changed. Notifications of one second become one touch, and only a master with
readers looks up which proxies it concerns. A slow reader gets the touches that it has not read merged into one.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from master.db.background import keep_on
from master.db.database import Database, Row
from master.domain.events.touches import (
    EVERYTHING,
    MOST_IDS,
    PendingTouches,
    Touched,
    both_pending,
    frames,
    merged,
    named,
    read_payload,
)
from master.errors import DatabaseError

EVERY_S = 1.0
"""A reader gets at most one message of a kind in this time."""
IDLE_S = 60.0
"""After so long without a reader nothing is collected."""
KEPT = 60


@dataclass(frozen=True, slots=True)
class Touch:
    """What was touched in one second, and its frames, which are encoded once for all readers."""

    touched: Touched
    frames: bytes


class TouchFeed:
    """Collect touches while there are readers."""

    def __init__(self, database: Database, announce: Callable[[], None], *, every_s: float = EVERY_S) -> None:
        """`announce` wakes the readers."""
        self._database, self._announce, self._every_s = database, announce, every_s
        self._recent: list[Touch] = []
        self.position = 0
        """The number of touches so far. A reader remembers up to which it has read."""
        self._pending = PendingTouches()
        self._wake = asyncio.Event()
        self._read_at = -IDLE_S

    def note_reader(self) -> None:
        """Collect touches, since there is a reader."""
        self._read_at = time.monotonic()

    def heard(self, payload: str) -> None:
        """Take a notification."""
        if time.monotonic() - self._read_at <= IDLE_S:
            self._pending = both_pending(self._pending, read_payload(payload))
            self._wake.set()

    async def run(self) -> None:
        """Collect until cancelled."""
        await keep_on(self._turn, "touches")

    async def _turn(self) -> None:
        await self._wake.wait()
        self._wake.clear()
        pending, self._pending = self._pending, PendingTouches()
        if pending:
            try:
                self._add(await self._looked_up(pending))
            except DatabaseError:
                self._pending = both_pending(pending, self._pending)
                self._wake.set()
                raise
            await asyncio.sleep(self._every_s)

    async def _looked_up(self, pending: PendingTouches) -> Touched:
        """Return the nodes that reported, the proxies that they confirmed, and the stacks of these."""
        confirmed = {node_id: span for node_id, span in pending.reports.items() if span[0] < span[1]}
        rows: list[Row] = []
        if confirmed:
            async with self._database.session() as session:
                rows = await session.rows(
                    "events.select_confirmed",
                    node_ids=list(confirmed),
                    afters=[after for after, _ in confirmed.values()],
                    untils=[until for _, until in confirmed.values()],
                    max_rows=MOST_IDS + 1,
                )
        proxies = named("proxies", (row["id"] for row in rows))
        stacks: Touched = (
            {"stacks": None} if len(rows) > MOST_IDS else named("stacks", (row["stack_id"] for row in rows))
        )
        return merged([pending.named, named("nodes", pending.reports), proxies, stacks])

    def _add(self, touched: Touched) -> None:
        self._recent = [*self._recent[-KEPT + 1 :], Touch(touched, frames(touched))]
        self.position += 1
        self._announce()

    def after(self, position: int) -> bytes:
        """Return the frames of all touches after this position, merged."""
        if self.position - position == 1:
            return self._recent[-1].frames
        return frames(self.touched_after(position))

    def touched_after(self, position: int) -> Touched:
        """Return all touches after this position, merged."""
        missed = self.position - position
        if missed > len(self._recent):
            return EVERYTHING
        return merged(touch.touched for touch in self._recent[len(self._recent) - missed :])

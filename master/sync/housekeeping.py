"""Notices nodes that have fallen silent; now and then forgets what is over."""

import asyncio
from datetime import timedelta

from master.background import keep_on
from master.db.database import Database
from master.domain.events import log
from master.domain.lookup import service as lookups
from master.sync.reports import Reports

SILENCE_EVERY_S = 5.0
FORGET_EVERY_S = 3600.0
FORGET_RETRY_MOST_S = 60.0


class Housekeeping:
    """Over nodes and over what is kept."""

    def __init__(self, database: Database, reports: Reports, events_days: float, history_days: float) -> None:
        """Events are kept for so many days, and who had which endpoint for so many."""
        self._database, self._reports = database, reports
        self._events_kept, self._history_kept = timedelta(days=events_days), timedelta(days=history_days)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_on(self._lose_silent, "watch"))
            group.create_task(keep_on(self._forget_now_and_then, "forgetting", most_s=FORGET_RETRY_MOST_S))

    async def _lose_silent(self) -> None:
        await asyncio.sleep(SILENCE_EVERY_S)
        await self._reports.lose_silent()

    async def _forget_now_and_then(self) -> None:
        await asyncio.sleep(SILENCE_EVERY_S)
        await self._forget()
        await asyncio.sleep(FORGET_EVERY_S)

    async def _forget(self) -> None:
        await self._reports.forget_old()
        async with self._database.session() as session:
            await log.forget(session, self._events_kept)
            await lookups.forget(session, self._history_kept)

"""Notices nodes that have fallen silent; now and then forgets what is over."""

import asyncio
import itertools
from datetime import timedelta

import structlog

from master import events, lookups
from master.db import Database
from master.errors import DatabaseAway
from master.reports import Reports

log = structlog.get_logger()

SILENCE_EVERY_S = 5.0
FORGET_EVERY = 720
"""Turns of SILENCE_EVERY_S: an hour."""


class Watch:
    """Over nodes and over what is kept."""

    def __init__(self, database: Database, reports: Reports, events_days: float, history_days: float) -> None:
        """Events are kept for so many days, and who had which endpoint for so many."""
        self._database, self._reports = database, reports
        self._events_kept, self._history_kept = timedelta(days=events_days), timedelta(days=history_days)

    async def run(self) -> None:
        """Until cancelled."""
        for turn in itertools.count():
            await asyncio.sleep(SILENCE_EVERY_S)
            try:
                await self._reports.lose_silent()
                if turn % FORGET_EVERY == 0:
                    await self._forget()
            except DatabaseAway as error:
                log.warning("database.away", reason=error.reason)

    async def _forget(self) -> None:
        await self._reports.forget_old()
        async with self._database.session() as session:
            await events.forget(session, self._events_kept)
            await lookups.forget(session, self._history_kept)

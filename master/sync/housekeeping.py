"""Mark silent nodes offline, roll usage up, and delete old rows now and then."""

import asyncio
from datetime import timedelta

from master.db.background import keep_on
from master.db.database import Database
from master.domain.events import log
from master.domain.lookup import service as lookups
from master.domain.nodes.invitations import service as invitations
from master.domain.usage import service as usage
from master.sync.reports import Reports

SILENCE_EVERY_S = 5.0
ROLL_UP_EVERY_S = 60.0
FIGURES_EVERY_S = 5.0
"""A node's load changes with each report, every 15 s or so: all nodes together are touched no more often than this."""
FORGET_EVERY_S = 3600.0
FORGET_RETRY_MOST_S = 60.0


class Housekeeping:
    """Run the periodic tasks of the master."""

    def __init__(self, database: Database, reports: Reports, events_days: float, history_days: float) -> None:
        """Keep events and the history of endpoints for so many days."""
        self._database, self._reports = database, reports
        self._events_kept, self._history_kept = timedelta(days=events_days), timedelta(days=history_days)

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_on(self._mark_silent, "silent nodes"))
            group.create_task(keep_on(self._roll_up, "usage of days", most_s=FORGET_RETRY_MOST_S))
            group.create_task(keep_on(self._touch_figures, "figures"))
            group.create_task(keep_on(self._forget_now_and_then, "old rows", most_s=FORGET_RETRY_MOST_S))

    async def _mark_silent(self) -> None:
        await asyncio.sleep(SILENCE_EVERY_S)
        await self._reports.mark_silent_offline()

    async def _roll_up(self) -> None:
        await asyncio.sleep(ROLL_UP_EVERY_S)
        async with self._database.session() as session:
            await usage.roll_up(session)

    async def _touch_figures(self) -> None:
        await asyncio.sleep(FIGURES_EVERY_S)
        await self._reports.touch_figures()

    async def _forget_now_and_then(self) -> None:
        await asyncio.sleep(SILENCE_EVERY_S)
        await self._forget()
        await asyncio.sleep(FORGET_EVERY_S)

    async def _forget(self) -> None:
        await self._reports.forget_old()
        async with self._database.session() as session:
            await log.forget(session, self._events_kept)
            await lookups.forget(session, self._history_kept)
            await invitations.forget(session)

"""The other masters: what one that stands still holds in the database is let go, so that it holds nobody up."""

import asyncio

import structlog

from master.background import keep_on
from master.db.database import Database

log = structlog.get_logger()

LOOK_EVERY_S = 1.0
SILENT_S = 5.0
"""A master says its next word within milliseconds. PostgreSQL's own limit (master.db) is for a fleet with one master:
it does not see one that stands still between a statement and its parameters, and ends one transaction at a time.
"""


class PeerWatchdog:
    """Watches them in pg_stat_activity."""

    def __init__(self, database: Database, aside: Database, *, silent_s: float = SILENT_S) -> None:
        """`aside` is this master's too, with connections of its own: those of `database` may all be held up."""
        self._database, self._aside, self._silent_s = database, aside, silent_s

    async def run(self) -> None:
        """Until cancelled."""
        await keep_on(self._end_frozen, "peers")

    async def _end_frozen(self) -> None:
        await asyncio.sleep(LOOK_EVERY_S)
        async with self._aside.session() as session:
            frozen = await session.rows(
                "peer_watchdog.end_frozen", mine=self._database.name, silent_s=self._silent_s
            )
        for peer in frozen:
            log.warning("master.stands_still", **peer)

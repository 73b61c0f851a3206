"""Ends the transactions of other masters that stand still, so that their locks hold nobody up.

PostgreSQL's own time-outs cannot do this, as tests/integration/db/test_peer_watchdog.py shows. A process that is
stopped between a statement and its parameters leaves its session "active" and waiting for the client, which neither
idle_in_transaction_session_timeout nor statement_timeout ends; and the kernel of a frozen process still acknowledges
packets, so tcp_user_timeout does not apply. Where idle_in_transaction_session_timeout does apply, it ends one
transaction at a time: the next transaction of the frozen master gets the lock and keeps it as long. transaction_timeout
(PostgreSQL 17) and lock_timeout would also end slow transactions of masters that work.
"""

import asyncio

import structlog

from master.db.background import keep_on
from master.db.database import Database

log = structlog.get_logger()

CHECK_EVERY_S = 1.0
SILENT_S = 5.0
"""A master that runs sends its next message within milliseconds."""


class PeerWatchdog:
    """Watch the other masters in pg_stat_activity."""

    def __init__(self, database: Database, reserve: Database, *, silent_s: float = SILENT_S) -> None:
        """`reserve` is a pool of this master with a connection of its own: all of `database` may wait for the lock."""
        self._database, self._reserve, self._silent_s = database, reserve, silent_s

    async def run(self) -> None:
        """Run until cancelled."""
        await keep_on(self._end_frozen, "peer watchdog")

    async def _end_frozen(self) -> None:
        await asyncio.sleep(CHECK_EVERY_S)
        async with self._reserve.session() as session:
            frozen = await session.rows(
                "peer_watchdog.end_frozen", own_name=self._database.name, silent_s=self._silent_s
            )
        for peer in frozen:
            log.warning("master.frozen", **peer)

"""The row by which a master makes itself known to the others."""

import asyncio
import socket
import time
from collections.abc import Callable, Collection
from datetime import timedelta

import structlog

from master.db.background import keep_on
from master.db.database import Database
from master.errors import DatabaseError
from shared.tasks import wait_for_event
from shared.version import program_version

log = structlog.get_logger()

REFRESH_EVERY_S = 10.0
KEPT = timedelta(days=1)
"""Rows of masters that were killed or cut off are forgotten after this time."""
WITHDRAW_S = 1.0


class Presence:
    """Refresh the row every 10 s, and delete it at an orderly end."""

    def __init__(self, database: Database, broker_revs: Callable[[], Collection[int]] = tuple) -> None:
        """The id of a master is that of its database connections (`application_name`, without the program's name).

        `broker_revs` returns the revisions of the links to the broker at which this master is connected.
        """
        self._broker_revs, self._changed = broker_revs, asyncio.Event()
        self._database, self._id = database, database.name.rpartition(" ")[2]
        self._host, self._version = socket.gethostname(), program_version()
        self._began = time.monotonic()

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            await keep_on(self._turn, "presence")
        finally:
            await self._withdraw()

    def wake(self) -> None:
        """Refresh the row soon, since this master was connected to a broker or lost it."""
        self._changed.set()

    async def _turn(self) -> None:
        self._changed.clear()
        await self.refresh()
        await wait_for_event(self._changed, REFRESH_EVERY_S)

    async def refresh(self) -> None:
        """Write that this master runs. Raises DatabaseError."""
        running = timedelta(seconds=time.monotonic() - self._began)
        async with self._database.session() as session:
            await session.execute(
                "system.refresh",
                id=self._id,
                host=self._host,
                version=self._version,
                running=running,
                kept=KEPT,
                broker_revs=sorted(self._broker_revs()),
            )

    async def _withdraw(self) -> None:
        try:
            async with asyncio.timeout(WITHDRAW_S), self._database.session() as session:
                await session.execute("system.withdraw", id=self._id)
        except (DatabaseError, TimeoutError) as error:
            log.info("master.row_left", reason=type(error).__name__)

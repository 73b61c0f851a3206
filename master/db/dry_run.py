"""A database for dry runs: every transaction is rolled back."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from master.db.database import Database, Row, Session
from master.schemas.dry_run import DryRun, dry_run


@dataclass
class DryRunDone(Exception):
    """A transaction succeeded and was rolled back."""

    result: DryRun = field(repr=False)


class RolledBack(Exception):
    """Rolls a transaction back."""


class DryRunDatabase(Database):
    """Do what the real write does, under the same locks, and end each transaction with DryRunDone.

    Ids that a transaction drew stay used: sequences have gaps after any rollback.
    """

    def __init__(self, database: Database) -> None:
        """Use the connections of this database."""
        super().__init__({})
        self._database = database

    @property
    def is_dry_run(self) -> bool:
        """Whether all transactions are rolled back."""
        return True

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[Session]:
        """Borrow a connection for reading."""
        async with self._database.session() as session:
            yield session

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Session]:
        """Open a transaction that is rolled back at its end, and then raise DryRunDone."""
        events: list[Row] = []
        with suppress(RolledBack):
            async with self._database.transaction() as session:
                since = await session.value("dry_run.last_event_id")
                yield session
                events += await session.rows("dry_run.select_events", since=since)
                raise RolledBack
        raise DryRunDone(await asyncio.to_thread(dry_run, events))

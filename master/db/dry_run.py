"""A database for dry runs: every transaction is rolled back."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from master.db.database import Database, Row, Session


@dataclass
class DryRunDone(Exception):
    """A transaction succeeded and was rolled back. `events` are the events that it would have recorded."""

    events: Sequence[Row] = field(repr=False)


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
        """Open a transaction that raises DryRunDone at its end."""
        async with self._database.transaction() as session:
            since = await session.value("dry_run.last_event_id")
            yield session
            raise DryRunDone(await session.rows("dry_run.select_events", since=since))

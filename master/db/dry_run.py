"""A database in which nothing stays: what is written is looked at and taken back."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from master.db.database import Database, Row, Session


@dataclass
class DryRunDone(Exception):
    """A transaction came to its good end, and was taken back; the events are those that it would have recorded."""

    events: Sequence[Row] = field(repr=False)


class DryRunDatabase(Database):
    """Do what the real write does, under its locks and no others, and end each transaction with Rehearsed.

    Ids that the transaction drew are not given back: sequences have gaps after any rollback.
    """

    def __init__(self, database: Database) -> None:
        """Over the connections of this one."""
        super().__init__({})
        self._database = database

    @property
    def is_rehearsal(self) -> bool:
        """Nothing stays."""
        return True

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[Session]:
        """As it is; for reading."""
        async with self._database.session() as session:
            yield session

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Session]:
        """Raises Rehearsed at its end; otherwise as a real one."""
        async with self._database.transaction() as session:
            since = await session.value("dry_run.last_event_id")
            yield session
            raise DryRunDone(await session.rows("dry_run.select_events", since=since))

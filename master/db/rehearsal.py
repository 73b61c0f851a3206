"""A database in which nothing stays: what is written is looked at and taken back."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from master.db import Database, Row, Session
from master.errors import Refused

MOST_EVENTS = 100_000
"""Of one transaction; so far back the log is searched for them."""


@dataclass
class Rehearsed(Exception):
    """A transaction came to its good end, and was taken back; the events are those that it would have recorded."""

    events: Sequence[Row] = field(repr=False)


class Rehearsal(Database):
    """Does everything as it would be done, under the same locks, and then ends each transaction with Rehearsed."""

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
        """Raises Rehearsed at its end; otherwise as a real one. Ids that were drawn are given back."""
        async with self._database.transaction() as session:
            await session.execute("proxies.lock_placement")
            ids = await session.row("rehearsal.next_ids") or {}
            try:
                yield session
                events = await session.rows("rehearsal.select_events", most=MOST_EVENTS)
            except Refused:
                await session.row("rehearsal.give_ids_back", **ids, most=MOST_EVENTS)
                raise
            await session.row("rehearsal.give_ids_back", **ids, most=MOST_EVENTS)
            raise Rehearsed(events)

"""A pool of connections that runs named statements, and translates the driver's errors."""

import json
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from master.actors import cause
from master.db.driver_errors import AWAY, translated
from master.db.narrowing import OUTSIDE, Narrowing, discreet, outside
from master.db.statements import bound
from master.errors import DatabaseFailed, RequestRefused
from master.schemas.access import TokenFilter

CONNECT_TIMEOUT_S = 5
CLOSE_TIMEOUT_S = 2
ACQUIRE_TIMEOUT_S = 20
"""The longest wait for one of the pool's connections. It is long, since a busy database is not away."""
COMMAND_TIMEOUT_S = 30
IDLE_IN_TRANSACTION = "10s"
"""After this time PostgreSQL ends an idle transaction, so that the locks of a frozen master do not block the others.

Another running master ends it sooner (master.db.peer_watchdog).
"""

HASH_MEMORY = "8"
"""hash_mem_multiplier: a count of proxies by state and node takes 3 MB, but PostgreSQL expects more than it allows by
default, and sorts all proxies on disk instead (tests.bench.fleet_queries)."""

EVERYTHING, NOTHING = "public", "pg_catalog"
"""The search_path of a connection that sees the whole database, and of one that has no filter yet."""

Row = Mapping[str, Any]


class Session:
    """One connection, with or without a transaction. Parameters are given by name."""

    def __init__(self, connection: "asyncpg.pool.PoolConnectionProxy[Any] | asyncpg.Connection[Any]") -> None:
        self._connection = connection
        self.narrowing: Narrowing | None = None
        """The part of the fleet that this session is for; None: all of it."""

    @property
    def implied_labels(self) -> Mapping[str, str]:
        """Return the labels that everything gets which is made here, unless it is given others."""
        return {} if self.narrowing is None else self.narrowing.labels

    async def narrow(self, narrowing: Narrowing, *, for_transaction: bool = False) -> None:
        """Read and write nothing outside of this part, until the session or, with `for_transaction`, that ends."""
        setting = {"search_path": narrowing.search_path, "value": narrowing.setting, "actor": cause().actor}
        await self.execute("narrowing.set", **setting, for_transaction=for_transaction)
        self.narrowing = narrowing

    async def rows(self, name: str, /, **parameters: object) -> list[Row]:
        """Return all rows of a query."""
        sql, values = bound(name, parameters)
        return [dict(row) for row in await self._connection.fetch(sql, *values)]

    async def row(self, name: str, /, **parameters: object) -> Row | None:
        """Return the first row of a query, or None."""
        sql, values = bound(name, parameters)
        row = await self._connection.fetchrow(sql, *values)
        return dict(row) if row is not None else None

    async def value(self, name: str, /, **parameters: object) -> Any:
        """Return the first column of the first row, or None."""
        sql, values = bound(name, parameters)
        return await self._connection.fetchval(sql, *values)

    async def execute(self, name: str, /, **parameters: object) -> int:
        """Run a statement; return how many rows it touched."""
        sql, values = bound(name, parameters)
        status = await self._connection.execute(sql, *values)
        return int(status.rsplit(" ", 1)[-1]) if status[-1].isdigit() else 0

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        """Open a part of the transaction that an exception rolls back, with the locks that it has taken."""
        async with self._connection.transaction():
            yield


class Database:
    """A pool of connections. It opens at the first use; each use raises DatabaseAway while the server is away."""

    def __init__(
        self, connect: Mapping[str, Any], *, size: int = 10, name: str | None = None, search_path: str = EVERYTHING
    ) -> None:
        """`connect` holds asyncpg's host, port, user, password and database."""
        self._connect, self._size, self._search_path = dict(connect), size, search_path
        self.name = name or f"maybe-master {secrets.token_hex(4)}"
        """The application_name of all connections in pg_stat_activity."""
        self._pool: asyncpg.Pool[Any] | None = None
        self._for_narrowed: Database | None = None
        """Connections of sessions with a filter, so that no other session ever has theirs."""

    @property
    def pool(self) -> tuple[int, int, int]:
        """The numbers of open, idle and allowed connections."""
        if self._pool is None:
            return 0, 0, self._size
        return self._pool.get_size(), self._pool.get_idle_size(), self._size

    @property
    def is_dry_run(self) -> bool:
        """Whether all transactions are rolled back."""
        return False

    @property
    def is_narrowed(self) -> bool:
        """Whether this is the part for a token with a filter."""
        return False

    def narrowed(self, filter_: TokenFilter) -> "Database":
        """Return the part of the database that a token with this filter is for."""
        if self._for_narrowed is None:
            self._for_narrowed = Database(self._connect, size=self._size, name=self.name, search_path=NOTHING)
        return NarrowedDatabase(self._for_narrowed, Narrowing(filter_))

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[Session]:
        """Borrow a connection without a transaction. Raises DatabaseError."""
        async with translated():
            pool = await self._opened()
            async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                yield Session(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Session]:
        """Open a read-committed transaction, which an exception rolls back.

        Raises DatabaseError.
        """
        async with translated():
            pool = await self._opened()
            async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection, connection.transaction():
                yield Session(connection)

    async def listener(
        self, channels: tuple[str, ...], heard: Callable[[str, str], None], lost: Callable[[], None]
    ) -> Callable[[], Awaitable[None]]:
        """Open a connection that calls `heard(channel, payload)`, and `lost` when it ends; return its close function.

        Raises DatabaseError.
        """
        async with translated():
            connection = await asyncpg.connect(
                **self._connect, timeout=CONNECT_TIMEOUT_S, command_timeout=COMMAND_TIMEOUT_S
            )
            connection.add_termination_listener(lambda _: lost())
            try:
                for channel in channels:
                    await connection.add_listener(channel, lambda _c, _p, name, payload: heard(name, str(payload)))
            except BaseException:
                connection.terminate()
                raise

        async def close() -> None:
            try:
                await connection.close(timeout=CLOSE_TIMEOUT_S)
            except AWAY:
                connection.terminate()

        return close

    async def close(self) -> None:
        """Close every connection."""
        if self._for_narrowed is not None:
            await self._for_narrowed.close()
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def _opened(self) -> "asyncpg.Pool[Any]":
        if self._pool is None:
            pool = asyncpg.create_pool(
                **self._connect,
                min_size=0,
                max_size=self._size,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                server_settings={
                    "application_name": self.name,
                    "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION,
                    "hash_mem_multiplier": HASH_MEMORY,
                    "search_path": self._search_path,
                },
                init=_prepare_connection,
                reset=_leave_as_it_is,
            )
            self._pool = pool
            await pool
        return self._pool


class NarrowedDatabase(Database):
    """The part of a database that a token with a filter is for.

    A write that would make or leave something outside raises Forbidden, and refusals name nothing outside.
    """

    def __init__(self, connections: Database, narrowing: Narrowing) -> None:
        """Use these connections, which no session without a filter uses."""
        super().__init__({})
        self._connections, self._narrowing = connections, narrowing

    @property
    def is_narrowed(self) -> bool:
        """Whether this is the part for a token with a filter."""
        return True

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[Session]:
        """Borrow a connection for this part. Raises DatabaseError."""
        try:
            async with self._connections.session() as session:
                await session.narrow(self._narrowing)
                yield session
        except DatabaseFailed as error:
            raise outside(self._narrowing) if error.sqlstate == OUTSIDE else error from error
        except RequestRefused as error:
            raise discreet(error) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Session]:
        """Open a transaction for this part. The filter is set before it begins, since its first statement counts."""
        async with self.session() as session, session.savepoint():
            yield session


async def _prepare_connection(connection: "asyncpg.Connection[Any]") -> None:
    """Convert jsonb from and to Python values."""
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def _leave_as_it_is(_: "asyncpg.Connection[Any]") -> None:
    """Skip asyncpg's reset, one more round trip after each use: no statement of ours changes a session.

    asyncpg still rolls back an open transaction before this.
    """

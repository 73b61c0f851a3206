"""Translates the errors of the driver into errors of the program."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg

from master.errors import DatabaseAway, DatabaseError, DatabaseFailed, RowConflict, RowReferenced

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,
)
"""Errors of asyncpg when the server is away, stopping, starting, full, read-only (a standby after a failover), has a
disk error, or rolled a transaction back (a deadlock).

A connection lost during a codec's introspection or a rollback raises InternalClientError.
"""
READABLE_CLASSES = ("28", "3D", "3F", "42", "57", "XX")
"""Error classes whose messages name users, databases and identifiers, never data of rows."""


@asynccontextmanager
async def translated() -> AsyncGenerator[None]:
    """Translate the driver's errors. A value that the driver cannot encode is a bug and stays a ValueError."""
    try:
        yield
    except (asyncpg.PostgresError, *AWAY) as error:
        if isinstance(error, ValueError):
            raise
        raise translation(error) from error


def translation(error: Exception) -> DatabaseError:
    """Return our error for one of the driver's."""
    constraint = getattr(error, "constraint_name", None) or ""
    match error:
        case asyncpg.UniqueViolationError() | asyncpg.CheckViolationError():
            return RowConflict(reason=f"a row breaks {constraint}", constraint=constraint)
        case asyncpg.ForeignKeyViolationError():
            return RowReferenced(reason=f"a reference breaks {constraint}", constraint=constraint)
        case asyncpg.PostgresError() if not isinstance(error, AWAY):
            state = error.sqlstate or ""
            text = f": {error.args[0]}" if error.args and state[:2] in READABLE_CLASSES else ""
            return DatabaseFailed(reason=f"{type(error).__name__} ({state}){text}", sqlstate=state)
        case _:
            return DatabaseAway(reason=type(error).__name__)

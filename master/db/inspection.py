"""One read-only connection for the doctor: the server itself refuses any change."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from master.db.database import Session
from master.db.driver_errors import AWAY, translation
from master.errors import BadConfiguration, DatabaseAway

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 5.0
SESSION_SETTINGS = {"default_transaction_read_only": "on", "application_name": "maybe-master doctor"}


@asynccontextmanager
async def read_only_session(connect: Mapping[str, Any]) -> AsyncGenerator[Session]:
    """Open a connection; `connect` holds asyncpg's host, port, user, password and database.

    Raises DatabaseError, and BadConfiguration when the server is there but refuses the login or has no such database.
    """
    try:
        connection = await asyncpg.connect(
            **connect,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            server_settings=SESSION_SETTINGS,
            statement_cache_size=0,
        )
    except (asyncpg.InvalidCatalogNameError, asyncpg.InsufficientPrivilegeError) as error:
        raise BadConfiguration("DATABASE_NAME", str(error)) from error
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise BadConfiguration("DATABASE_USERNAME or DATABASE_PASSWORD", str(error)) from error
    except TimeoutError as error:
        raise DatabaseAway(f"no answer within {CONNECT_TIMEOUT_S:g} s") from error
    except AWAY as error:
        raise DatabaseAway(str(error) or type(error).__name__) from error
    try:
        yield Session(connection)
    except asyncpg.InsufficientPrivilegeError as error:
        raise BadConfiguration("DATABASE_USERNAME (its rights in this database)", str(error)) from error
    except AWAY as error:
        raise DatabaseAway(f"{type(error).__name__} during a query") from error
    except asyncpg.PostgresError as error:
        raise translation(error) from error
    finally:
        connection.terminate()

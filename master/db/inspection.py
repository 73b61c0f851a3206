"""One connection that only looks: the server itself refuses any change by it."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from master.db.database import AWAY, Session, translation
from master.errors import BadConfiguration, DatabaseAway

OPEN_S = 5.0
QUERY_S = 5.0
LOOKING = {"default_transaction_read_only": "on", "application_name": "maybe-master doctor"}


@asynccontextmanager
async def looking(connect: Mapping[str, Any]) -> AsyncGenerator[Session]:
    """`connect`: asyncpg's host, port, user, password, database.

    Raises DatabaseError, and BadConfiguration when the server is there but refuses the login or has no such database.
    """
    try:
        connection = await asyncpg.connect(
            **connect, timeout=OPEN_S, command_timeout=QUERY_S, server_settings=LOOKING, statement_cache_size=0
        )
    except (asyncpg.InvalidCatalogNameError, asyncpg.InsufficientPrivilegeError) as error:
        raise BadConfiguration("DATABASE_NAME", str(error)) from error
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise BadConfiguration("DATABASE_USERNAME or DATABASE_PASSWORD", str(error)) from error
    except TimeoutError as error:
        raise DatabaseAway(f"no answer within {OPEN_S:g} s") from error
    except AWAY as error:
        raise DatabaseAway(str(error) or type(error).__name__) from error
    try:
        yield Session(connection)
    except asyncpg.InsufficientPrivilegeError as error:
        raise BadConfiguration("DATABASE_USERNAME (its rights in this database)", str(error)) from error
    except AWAY as error:
        raise DatabaseAway(f"{type(error).__name__} while it was asked") from error
    except asyncpg.PostgresError as error:
        raise translation(error) from error
    finally:
        connection.terminate()

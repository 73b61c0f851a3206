"""A database that one test after the other uses is always as if it had just been made."""

from typing import Any

import asyncpg
import pytest

from tests.services.postgres import Database
from tests.services.postgres_pool import SEQUENCES, TABLES, Pool

NODE = "INSERT INTO nodes (name, ip, challenge_hash, broker_password_hash) VALUES ('n', '10.0.0.1', 'c', 'h')"
PROXY = "INSERT INTO proxies (node_id, port, protocol, username, password) VALUES (1, 20000, 'http', 'u', 'p')"


async def contents(database: Database) -> dict[str, Any]:
    async with database.connection() as connection:
        tables = [table for (table,) in await connection.fetch(TABLES)]
        rows = {table: await connection.fetch(f"SELECT * FROM {table}") for table in tables}
        return rows | {"numbers": await connection.fetch(SEQUENCES)}


async def done(database: Database, *statements: str) -> None:
    async with database.connection() as connection:
        for statement in statements:
            await connection.execute(statement)


async def again(databases: Pool, database: Database) -> Database:
    """The next test's database."""
    await databases.give(database)
    return await databases.take()


@pytest.mark.parametrize(
    "statements",
    [
        [NODE, PROXY, "UPDATE cluster SET id = gen_random_uuid()", "DELETE FROM event_log"],
        ["INSERT INTO locations (name) SELECT repeat('x', 60) || i FROM generate_series(1, 3000) i"],
    ],
    ids=["in many tables", "many in one"],
)
async def test_nothing_is_left_of_what_a_test_did(databases: Pool, database: Database, statements: list[str]) -> None:
    before = await contents(database)
    await done(database, *statements)
    following = await again(databases, database)
    assert following == database
    assert await contents(following) == before


async def test_a_transaction_that_a_test_left_open_holds_nobody_up(databases: Pool, database: Database) -> None:
    left = await asyncpg.connect(**database.connect)
    await left.execute("BEGIN")
    await left.execute(NODE)
    assert await again(databases, database) == database
    assert left.is_closed() or await is_cut(left)


async def is_cut(connection: "asyncpg.Connection[Any]") -> bool:
    try:
        await connection.execute("SELECT 1")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return True
    return False


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE events ADD CONSTRAINT hush CHECK (id > 0)",
        "CREATE TABLE more (n int)",
        "ALTER TABLE proxies DISABLE TRIGGER proxies_after_insert",
        "CREATE FUNCTION nothing() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER DATABASE {name} SET statement_timeout = 1000",
    ],
)
async def test_a_database_whose_schema_or_settings_were_changed_is_not_used_again(databases: Pool, change: str) -> None:
    database = await databases.take()
    await done(database, change.format(name=database.name))
    following = await again(databases, database)
    assert following.name != database.name
    await databases.give(following)

"""A database for one test after the other: emptying one costs a tenth of a copy of the template."""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tests.services.postgres import Database, PostgreSQL

SCHEMA = """
    SELECT md5(string_agg(part, ',' ORDER BY part)) FROM (
        SELECT concat_ws(' ', oid, relname, relchecks, relhastriggers, relacl, reloptions) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', attrelid, attnum, a.xmin) FROM pg_attribute a JOIN pg_class c
        ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', oid, xmin) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', oid, xmin) FROM pg_trigger
        UNION ALL SELECT concat_ws(' ', oid, xmin) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', oid, xmin) FROM pg_namespace
        UNION ALL SELECT concat_ws(' ', oid, datacl) FROM pg_database WHERE datname = current_database()
        UNION ALL SELECT setconfig::text FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
        WHERE datname = current_database()
    ) AS parts (part)
"""
"""What is not rows: a database whose schema or settings a test has changed is not used again."""

SEQUENCES = """
    SELECT format('%s', seqrelid::regclass), pg_sequence_last_value(seqrelid) FROM pg_sequence
    WHERE pg_sequence_last_value(seqrelid) IS NOT NULL
"""
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname"

EMPTY = """
DO $$
DECLARE
    name text;
BEGIN
    SET LOCAL lock_timeout = '5s';
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
        -- Deleting is ten times as fast as truncating, but leaves the pages.
        IF pg_relation_size(name) > 65536 THEN
            EXECUTE format('TRUNCATE %s CASCADE', name);
        ELSE
            EXECUTE format('DELETE FROM %s', name);
        END IF;
    END LOOP;
    PERFORM setval(seqrelid, seqstart, false) FROM pg_sequence;
END $$
"""
"""Without triggers and foreign keys, which needs a superuser."""

OTHERS_ENDED = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@dataclass
class Pool:
    """Databases like the template, each used by one test at a time."""

    postgres: PostgreSQL
    template: str
    rows: dict[str, str] = field(default_factory=dict[str, str])
    """The rows of the template as JSON, by table; only of tables that have some."""
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    """The last number of each sequence that the template has used."""
    schemas: dict[str, str] = field(default_factory=dict[str, str])
    """The schema of each database when it was made."""
    free: list[Database] = field(default_factory=list[Database])

    async def take(self) -> Database:
        """Return a database that is as the template is."""
        return self.free.pop() if self.free else await self._made()

    async def give(self, database: Database) -> None:
        """Empty a database for the next test; drop it when that cannot be done."""
        try:
            async with database.connection() as connection:
                is_clean = await self._reset(connection, database.name)
        except (OSError, TimeoutError, asyncpg.PostgresError):
            is_clean = False
        if is_clean:
            self.free.append(database)
        else:
            await self.postgres.drop(database.name)

    async def close(self) -> None:
        for database in self.free:
            await self.postgres.drop(database.name)

    async def _made(self) -> Database:
        made = await self.postgres.create(f"maybe_{secrets.token_hex(6)}", template=self.template)
        async with made.connection() as connection:
            if not self.schemas:
                await self._read(connection)
            self.schemas[made.name] = await connection.fetchval(SCHEMA)
        return made

    async def _read(self, connection: "asyncpg.Connection[Any]") -> None:
        """Remember what is in an unused database."""
        for (table,) in await connection.fetch(TABLES):
            rows = await connection.fetchval(f"SELECT json_agg(t)::text FROM {table} AS t")
            if rows is not None:
                self.rows[table] = rows
        self.numbers = dict(await connection.fetch(SEQUENCES))

    async def _reset(self, connection: "asyncpg.Connection[Any]", name: str) -> bool:
        """Whether the database is as the template is once more."""
        if await connection.fetchval(SCHEMA) != self.schemas[name]:
            return False
        await connection.execute(OTHERS_ENDED)
        async with asyncio.timeout(10), connection.transaction():
            await connection.execute(EMPTY)
            await connection.execute("SET LOCAL session_replication_role = replica")
            for table, rows in self.rows.items():
                select = f"SELECT * FROM json_populate_recordset(NULL::{table}, $1)"
                await connection.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE {select}", rows)
            for sequence, number in self.numbers.items():
                await connection.execute("SELECT setval($1::regclass, $2)", sequence, number)
        return True

"""Migrations: plain SQL files, applied in order, each once, by one master at a time.

0001 to 0004 are one schema in reading order: tables, triggers, views, and the views of tokens with a filter.
"""

import hashlib
from importlib.resources import files
from typing import Any

import asyncpg

from master.errors import BadConfiguration

LOCK = 0x6D61796265  # "maybe"

HISTORY = """
CREATE TABLE IF NOT EXISTS migrations (
    version integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, at timestamptz NOT NULL DEFAULT now()
)
"""


def steps() -> list[tuple[int, str, str]]:
    """Return (version, name, SQL) of each migration, in order."""
    names = sorted(entry.name for entry in files("master.db.migrations").iterdir() if entry.name.endswith(".sql"))
    return [(int(name[:4]), name, (files("master.db.migrations") / name).read_text()) for name in names]


async def migrate(connection: "asyncpg.Connection[Any]") -> list[str]:
    """Apply the missing migrations; return their names.

    Raises BadConfiguration when a file has changed since it was applied, or when the database is ahead of this program.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
    try:
        await connection.execute(HISTORY)
        applied = {
            row["version"]: row for row in await connection.fetch("SELECT version, name, sha256 FROM migrations")
        }
        migrations = steps()
        for version in sorted(set(applied) - {version for version, _, _ in migrations}):
            raise drift(f"the database is newer than this program: it has {applied[version]['name']}")
        return [
            name
            for version, name, sql in migrations
            if await _apply(connection, applied.get(version), version, name, sql)
        ]
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)


async def _apply(
    connection: "asyncpg.Connection[Any]", applied: asyncpg.Record | None, version: int, name: str, sql: str
) -> bool:
    checksum = hashlib.sha256(sql.encode()).hexdigest()
    if applied is not None:
        if applied["sha256"] != checksum:
            raise drift(f"the migration {name} has changed since it was applied")
        return False
    async with connection.transaction():
        await connection.execute(sql)
        await connection.execute(
            "INSERT INTO migrations (version, name, sha256) VALUES ($1, $2, $3)", version, name, checksum
        )
    return True


def drift(reason: str) -> BadConfiguration:
    """Return the error for a schema that does not belong to this program."""
    return BadConfiguration(variable="DATABASE_NAME", reason=reason)

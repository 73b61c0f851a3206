"""The schema is brought up to date once, by whoever comes first."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from master.db.migrations import migrate, steps
from master.errors import BadConfiguration
from tests.services.postgres import Database, PostgreSQL


@pytest.fixture
async def empty(postgres: PostgreSQL) -> AsyncIterator[Database]:
    name = f"maybe_{secrets.token_hex(6)}"
    yield await postgres.create(name)
    await postgres.drop(name)


async def migrated(database: Database) -> list[str]:
    async with database.connection() as connection:
        return await migrate(connection)


async def test_five_masters_that_start_at_once_apply_each_step_once(empty: Database):
    async with asyncio.TaskGroup() as group:
        masters = [group.create_task(migrated(empty)) for _ in range(5)]
    applied = [name for master in masters for name in master.result()]
    assert applied == [name for _, name, _ in steps()]


async def test_a_second_start_applies_nothing(empty: Database):
    await migrated(empty)
    assert await migrated(empty) == []


async def test_a_step_that_has_changed_since_is_refused(empty: Database):
    await migrated(empty)
    async with empty.connection() as connection:
        await connection.execute("UPDATE migrations SET sha256 = 'other' WHERE version = 1")
    with pytest.raises(BadConfiguration, match="has changed since"):
        await migrated(empty)


async def test_a_database_of_a_newer_program_is_refused(empty: Database):
    await migrated(empty)
    async with empty.connection() as connection:
        await connection.execute("INSERT INTO migrations (version, name, sha256) VALUES (9999, '9999_next.sql', '')")
    with pytest.raises(BadConfiguration, match="newer than this program"):
        await migrated(empty)


def test_steps_are_numbered_from_one_without_a_gap():
    assert [version for version, _, _ in steps()] == list(range(1, len(steps()) + 1))

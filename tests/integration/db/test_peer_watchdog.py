"""What a master that stands still holds in the database does not hold up the others for long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import pytest

from master.db.database import Database
from master.db.peer_watchdog import PeerWatchdog
from master.errors import DatabaseAway
from tests.clients.streams import until
from tests.services.postgres import Database as Address

HELD = 20
"""Transactions of the frozen master: one has the lock, the others wait for it."""


def opened(database: Address) -> Database:
    return Database(database.connect, size=HELD)


@pytest.fixture
async def frozen(database: Address) -> AsyncIterator[Database]:
    yield (made := opened(database))
    await made.close()


@pytest.fixture
async def living(database: Address) -> AsyncIterator[Database]:
    made, reserve = opened(database), opened(database)
    async with asyncio.TaskGroup() as group:
        peers = group.create_task(PeerWatchdog(made, reserve, silent_s=0.3).run())
        yield made
        peers.cancel()
    await made.close()
    await reserve.close()


async def hold(frozen: Database, prepared: str) -> None:
    """As a process that is stopped right after its statement, or while that waits; or on the way to the next one."""
    with suppress(DatabaseAway):
        async with frozen.transaction() as session:
            await session.execute("placement.lock")
            if prepared:
                await session._connection.prepare(prepared)
            await asyncio.Event().wait()


@pytest.mark.parametrize("prepared", ["", "SELECT 1"], ids=["between statements", "before the parameters"])
async def test_all_transactions_of_a_frozen_master_end_at_once_and_nobody_who_waits_for_them_fails(
    database: Address, frozen: Database, living: Database, prepared: str
):
    async def all_wait() -> bool:
        waiting = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = $1"
        async with database.connection() as rows:
            return await rows.fetchval(waiting, database.name) == HELD - 1

    async with asyncio.TaskGroup() as group:
        holding = [group.create_task(hold(frozen, prepared)) for _ in range(HELD)]
        await until(all_wait)
        async with asyncio.timeout(6), living.transaction() as session:
            await session.execute("placement.lock")
        for task in holding:
            task.cancel()


async def test_a_master_that_is_slow_but_speaks_keeps_its_transaction(frozen: Database, living: Database):
    async with frozen.transaction() as session:
        await session.execute("placement.lock")
        for _ in range(15):
            await asyncio.sleep(0.1)
            await session.execute("placement.lock")


async def test_time_outs_of_postgresql_end_no_transaction_that_stands_still_before_its_parameters(database: Address):
    limits = {
        "idle_in_transaction_session_timeout": "200ms",
        "statement_timeout": "200ms",
        "lock_timeout": "200ms",
        "tcp_user_timeout": "200ms",
    }
    frozen = await asyncpg.connect(**database.connect, server_settings=limits)
    await frozen.execute("BEGIN")
    await frozen.execute("SELECT pg_advisory_xact_lock(1)")
    await frozen.prepare("SELECT 1")
    await asyncio.sleep(1)  # five times the limits
    async with database.connection() as rows:
        assert not await rows.fetchval("SELECT pg_try_advisory_lock(1)")
    frozen.terminate()
